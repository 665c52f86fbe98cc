import CommandLineSupport
import Foundation

/// Prompts on standard input.
enum PromptInput {
  /// All text of a file or pipe, without the line feed that ends it; empty where there is none.
  ///
  /// A pipe that nobody writes to within a second counts as empty, because whoever started this
  /// program may have left one open without meaning it.
  ///
  /// Throws: `FileFault` where it cannot be read, `TextFault` where it is not UTF-8.
  static func text() throws -> String {
    guard isReadable(withinMilliseconds: 1000) else { return "" }
    var bytes: [UInt8] = []
    while true {
      let chunk = try Console.read()
      if chunk.isEmpty { break }
      bytes += chunk
    }
    guard var text = String(validating: bytes, as: UTF8.self) else {
      throw TextFault.notUTF8("standard input")
    }
    if text.hasSuffix("\n") || text.hasSuffix("\r\n") { text.removeLast() }
    return text
  }

  /// Whether standard input has something to read, or has ended.
  static func isReadable(withinMilliseconds time: Int32) -> Bool {
    var waiting = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&waiting, 1, time) > 0
  }
}
