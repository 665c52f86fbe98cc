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

  /// The next line from a terminal; nil at the end of input or where the user gave up.
  static func line(_ interruption: Interruption) -> String? {
    Console.writeError("> ")
    while !isReadable(withinMilliseconds: 100) {
      if interruption.isRequested { return nil }
    }
    return readLine()
  }

  private static func isReadable(withinMilliseconds time: Int32) -> Bool {
    var waiting = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&waiting, 1, time) > 0
  }
}
