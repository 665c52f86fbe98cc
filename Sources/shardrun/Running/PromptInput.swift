import CommandLineSupport
import Foundation

/// Prompts on standard input.
enum PromptInput {
  /// All text of a file or pipe, without the line feed that ends it; empty where there is none.
  ///
  /// A pipe that nobody writes to within a second counts as empty, because whoever started this
  /// program may have left one open without meaning it.
  static func text() -> String? {
    guard isReadable(withinMilliseconds: 1000) else { return "" }
    let data = (try? FileHandle.standardInput.readToEnd()) ?? Data()
    guard var text = String(validating: data, as: UTF8.self) else { return nil }
    if text.hasSuffix("\n") || text.hasSuffix("\r\n") { text.removeLast() }
    return text
  }

  /// Whether standard input has something to read, or has ended.
  static func isReadable(withinMilliseconds time: Int32) -> Bool {
    var waiting = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&waiting, 1, time) > 0
  }
}
