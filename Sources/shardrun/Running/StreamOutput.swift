import CommandLineSupport

/// Standard output for text that comes piece by piece.
struct StreamOutput {
  /// Whether somebody still reads.
  private(set) var isOpen = true
  private var endsLine = true

  /// Writes at once.
  mutating func write(_ text: String) {
    guard isOpen, !text.isEmpty else { return }
    endsLine = text.hasSuffix("\n")
    isOpen = Console.writeWhileRead(text)
  }

  /// Ends the last line where it is open.
  mutating func finishLine() {
    if !endsLine { write("\n") }
  }
}
