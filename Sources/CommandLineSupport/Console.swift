import Foundation
import StrictJSON
import TensorCore

/// Standard output and standard error.
public enum Console {
  /// Writes results. Ends the program with a sentence where they cannot be written, but for a
  /// reader that has gone away, which is nobody's fault.
  public static func write(_ text: String) { _ = writeWhileRead(text) }

  /// Writes results and says whether somebody still reads them.
  public static func writeWhileRead(_ text: String) -> Bool {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Foundation.write(1, $0.baseAddress, $0.count)
      }
      if count >= 0 {
        bytes = bytes.dropFirst(count)
      } else if errno == EPIPE {
        return false
      } else if errno != EINTR && errno != EAGAIN {
        Program.exit(
          reporting: FileFault("write", path: "standard output", errno: errno, isOutput: true),
          asJSON: false)
      }
    }
    return true
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
