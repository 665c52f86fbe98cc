import CommandLineSupport

/// Lines of standard input as they come, while somebody may interrupt the wait.
struct InputLines {
  private var bytes: [UInt8] = []
  private var hasEnded = false
  /// Whether what comes belongs to a line that was too long.
  private var isSkipping = false
  /// Lines handed out so far, or refused.
  private(set) var count = 0
  /// The longest line, in bytes.
  static let limit = 1 << 24

  /// The next line without its line feed; nil at the end of input, or where `isInterrupted`.
  ///
  /// Throws: `TextFault` where the line is not UTF-8 or too long; the call after it gives the line
  ///   behind that one. `FileFault` where standard input cannot be read.
  mutating func next(isInterrupted: () -> Bool) throws -> String? {
    while true {
      if isSkipping { skip() }
      if let end = bytes.firstIndex(of: UInt8(ascii: "\n")) { return try take(end) }
      if hasEnded { return bytes.isEmpty ? nil : try take(bytes.count) }
      if bytes.count > Self.limit { throw refusal() }
      while !PromptInput.isReadable(withinMilliseconds: 100) {
        if isInterrupted() { return nil }
      }
      if isInterrupted() { return nil }
      let chunk = try Console.read()
      hasEnded = chunk.isEmpty
      bytes += chunk
    }
  }

  /// Begins to skip a line that is too long.
  private mutating func refusal() -> TextFault {
    count += 1
    isSkipping = true
    return .lineTooLong(count, limit: Self.limit)
  }

  /// Drops bytes up to the end of the line that is too long.
  private mutating func skip() {
    if let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
      bytes.removeFirst(end + 1)
      isSkipping = false
    } else {
      bytes.removeAll()
    }
  }

  private mutating func take(_ end: Int) throws(TextFault) -> String {
    var line = bytes[..<end]
    if line.last == UInt8(ascii: "\r") { line.removeLast() }
    let text = String(validating: line, as: UTF8.self)
    // A line that is refused is gone too.
    bytes.removeFirst(min(end + 1, bytes.count))
    count += 1
    guard let text else { throw .notUTF8("line \(count) of standard input") }
    return text
  }
}
