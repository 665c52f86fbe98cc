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

  /// Whether standard output has a reader, as far as can be told without writing.
  public static var outputIsRead: Bool {
    var output = pollfd(fd: 1, events: 0, revents: 0)
    guard unsafe poll(&output, 1, 0) > 0 else { return true }
    return output.revents & Int16(POLLERR | POLLHUP) == 0
  }

  /// Reads what comes next on standard input, as soon as something is there; empty at its end.
  ///
  /// Throws: `FileFault` where it is closed or cannot be read.
  public static func read(upTo limit: Int = 1 << 16) throws(FileFault) -> [UInt8] {
    var chunk = [UInt8](repeating: 0, count: limit)
    while true {
      let count = unsafe Foundation.read(0, &chunk, limit)
      if count >= 0 { return Array(chunk[..<count]) }
      let number = errno
      if number == EAGAIN {
        var input = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        _ = unsafe poll(&input, 1, -1)
      } else if number != EINTR {
        throw inputFault(number)
      }
    }
  }

  private static func inputFault(_ number: Int32) -> FileFault {
    let name = "standard input"
    guard number != EBADF else {
      return FileFault(
        code: "file.closed", message: "\(name) is closed; give it a file or a pipe",
        exitStatus: .noInput, path: name)
    }
    let reason = unsafe String(cString: strerror(number))
    return FileFault(
      code: "file.inputOutput",
      message: "cannot read \(name): \(reason); give it a file or a pipe",
      exitStatus: .inputOutput, path: name)
  }

  /// Takes the places of closed standard streams, so that no file opened later is mistaken for
  /// one of them: reading or writing there fails as on a closed one.
  static func reserveStandardStreams() {
    for stream in Int32(0)...2 where fcntl(stream, F_GETFD) < 0 {
      _ = unsafe open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY)
    }
  }

  /// Writes progress and diagnostics.
  public static func writeError(_ text: String) {
    FileHandle.standardError.writeIgnoringClosedPipe(text)
  }

  /// Writes one JSON object, indented, as the only result.
  public static func write(_ value: JSONValue) { write(value.serialized(.pretty)) }

  /// Whether standard error is a terminal, so that a line may be drawn again.
  public static var errorIsTerminal: Bool { isatty(2) == 1 }

  /// Whether standard output is a terminal.
  public static var outputIsTerminal: Bool { isatty(1) == 1 }

  /// Whether standard input is a terminal.
  public static var inputIsTerminal: Bool { isatty(0) == 1 }
}

extension FileHandle {
  fileprivate func writeIgnoringClosedPipe(_ text: String) {
    try? write(contentsOf: Data(text.utf8))
  }
}
