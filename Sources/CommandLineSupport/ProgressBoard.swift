import Foundation
import TensorCore

/// Shows how far several pieces of work are that go on at once: one bar a line on a terminal, now
/// and then a plain line for each elsewhere, nothing for work that ends within two seconds.
///
// SAFETY: all state is read and written under the lock.
@safe public final class ProgressBoard: @unchecked Sendable {
  private let lock = NSLock()
  private let isSilent: Bool
  private let isTerminal = Console.errorIsTerminal
  private let start = Date()
  private var lines: [String]
  private var lastDrawn: [Date]
  private var drawnLineCount = 0

  /// - Parameter count: how many pieces of work there are.
  public init(count: Int, isSilent: Bool) {
    self.isSilent = isSilent
    lines = Array(repeating: "", count: count)
    lastDrawn = Array(repeating: .distantPast, count: count)
  }

  /// Says how far one of them is.
  public func show(_ update: ProgressUpdate, of index: Int) {
    guard !isSilent else { return }
    lock.withLock {
      let now = Date()
      let elapsed = now.timeIntervalSince(start)
      guard elapsed > 2, now.timeIntervalSince(lastDrawn[index]) >= (isTerminal ? 0.1 : 5) else {
        return
      }
      lastDrawn[index] = now
      lines[index] = ProgressBar.line(update, elapsed: elapsed)
      if isTerminal { draw() } else { Console.writeError(lines[index] + "\n") }
    }
  }

  /// Prints a line that stays, above the bars; what other machines have said may be in it.
  public func note(_ line: String) {
    guard !isSilent else { return }
    lock.withLock {
      clear()
      Console.writeError(Program.singleLine(line) + "\n")
      if isTerminal, lines.contains(where: { !$0.isEmpty }) { draw() }
    }
  }

  /// Removes the bars, so that other lines can follow.
  public func finish() { lock.withLock { clear() } }

  private func draw() {
    clear()
    let shown = lines.filter { !$0.isEmpty }
    Console.writeError(shown.joined(separator: "\n"))
    drawnLineCount = shown.count
  }

  private func clear() {
    guard drawnLineCount > 0 else { return }
    let up = drawnLineCount > 1 ? "\u{1B}[\(drawnLineCount - 1)A" : ""
    Console.writeError("\r\(up)\u{1B}[J")
    drawnLineCount = 0
  }
}
