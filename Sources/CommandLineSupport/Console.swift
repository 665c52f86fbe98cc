import Foundation
import StrictJSON

/// Standard output and standard error.
public enum Console {
  /// Writes results.
  public static func write(_ text: String) {
    FileHandle.standardOutput.writeIgnoringClosedPipe(text)
  }

  /// Writes progress and diagnostics.
  public static func writeError(_ text: String) {
    FileHandle.standardError.writeIgnoringClosedPipe(text)
  }

  /// Writes one JSON object, indented, as the only result.
  public static func write(_ value: JSONValue) { write(value.serialized(.pretty)) }

  /// Whether standard error is a terminal, so that a line may be drawn again.
  public static var errorIsTerminal: Bool { isatty(2) == 1 }

  /// Whether standard input is a terminal.
  public static var inputIsTerminal: Bool { isatty(0) == 1 }
}

extension FileHandle {
  fileprivate func writeIgnoringClosedPipe(_ text: String) {
    try? write(contentsOf: Data(text.utf8))
  }
}
