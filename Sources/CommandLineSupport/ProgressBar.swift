import Foundation
import TensorCore

/// Shows how far a long piece of work is: a bar on a terminal, now and then a plain line
/// elsewhere, nothing for work that ends within two seconds.
///
// SAFETY: all state is read and written under the lock.
@safe public final class ProgressBar: @unchecked Sendable {
  private let lock = NSLock()
  private let isSilent: Bool
  private let isTerminal = Console.errorIsTerminal
  private var phase = ""
  private var phaseStart = Date()
  private var lastDrawn = Date.distantPast
  private var isDrawn = false

  init(isSilent: Bool) { self.isSilent = isSilent }

  /// Hands updates to the bar; give it to what takes a `ProgressHandler`.
  public var handler: ProgressHandler { { [self] in show($0) } }

  private func show(_ update: ProgressUpdate) {
    guard !isSilent else { return }
    lock.lock()
    defer { lock.unlock() }
    let now = Date()
    if update.phase != phase {
      clear()
      phase = update.phase
      phaseStart = now
      lastDrawn = .distantPast
    }
    let elapsed = now.timeIntervalSince(phaseStart)
    let pause = isTerminal ? 0.1 : 5
    guard elapsed > 2, now.timeIntervalSince(lastDrawn) >= pause else { return }
    lastDrawn = now
    let line = Self.line(update, elapsed: elapsed)
    Console.writeError(isTerminal ? "\r\u{1B}[K" + line : line + "\n")
    isDrawn = isTerminal
  }

  /// Removes the bar, so that other lines can follow.
  public func finish() {
    lock.lock()
    defer { lock.unlock() }
    clear()
    phase = ""
  }

  private func clear() {
    if isDrawn { Console.writeError("\r\u{1B}[K") }
    isDrawn = false
  }

  /// One line: phase, bar, share, bytes, rate, time left.
  package static func line(_ update: ProgressUpdate, elapsed: Double) -> String {
    let total = max(1, update.totalBytes)
    let share = min(1, Double(update.completedBytes) / Double(total))
    let width = 24
    let filled = Int(share * Double(width))
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
    let rate = elapsed > 0 ? Double(update.completedBytes) / elapsed : 0
    let left = rate > 0 ? Double(total - update.completedBytes) / rate : 0
    let bytes = Quantity.describe(bytes: update.completedBytes)
    let speed = Quantity.describe(bytes: Int(rate))
    return "\(update.phase) [\(bar)] \(Int(share * 100)) %  \(bytes) of "
      + "\(Quantity.describe(bytes: total)), \(speed)/s, \(Int(left.rounded(.up))) s left"
  }
}
