import CommandLineSupport
import Foundation

/// Lines of standard input as they come, while somebody may interrupt the wait.
struct InputLines {
  private var bytes: [UInt8] = []
  private var hasEnded = false
  /// Lines handed out so far.
  private(set) var count = 0
  /// The longest line, in bytes.
  static let limit = 1 << 24

  /// The next line without its line feed; nil at the end of input, or where `isInterrupted`.
  ///
  /// Throws: `TextFault` where the line is not UTF-8 or too long.
  mutating func next(isInterrupted: () -> Bool) throws(TextFault) -> String? {
    while true {
      if let end = bytes.firstIndex(of: UInt8(ascii: "\n")) { return try take(end) }
      if hasEnded { return bytes.isEmpty ? nil : try take(bytes.count) }
      guard bytes.count <= Self.limit else { throw .lineTooLong(count + 1, limit: Self.limit) }
      while !PromptInput.isReadable(withinMilliseconds: 100) {
        if isInterrupted() { return nil }
      }
      if isInterrupted() { return nil }
      read()
    }
  }

  private mutating func read() {
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    let count = unsafe Foundation.read(0, &chunk, chunk.count)
    if count > 0 {
      bytes += chunk[..<count]
    } else if count == 0 || (errno != EINTR && errno != EAGAIN) {
      hasEnded = true
    }
  }

  private mutating func take(_ end: Int) throws(TextFault) -> String {
    var line = bytes[..<end]
    if line.last == UInt8(ascii: "\r") { line.removeLast() }
    count += 1
    guard let text = String(validating: line, as: UTF8.self) else {
      throw .notUTF8("line \(count) of standard input")
    }
    bytes.removeFirst(min(end + 1, bytes.count))
    return text
  }
}
