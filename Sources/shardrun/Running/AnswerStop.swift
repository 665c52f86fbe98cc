import CommandLineSupport
import Synchronization

/// What Ctrl-C means in a chat: it stops the answer, and twice within a second it ends the chat.
final class AnswerStop: Sendable {
  private struct State {
    var isAnswering = false
    var isRequested = false
    var last: ContinuousClock.Instant?
  }

  private let state = Mutex(State())
  private static let twice = Duration.seconds(1)

  /// Whether the answer at work should stop.
  var isRequested: Bool { state.withLock { $0.isRequested } }

  /// Marks an answer as being at work while the body runs.
  func during<Result>(_ body: () throws -> Result) rethrows -> Result {
    state.withLock { state in
      state.isAnswering = true
      state.isRequested = false
    }
    defer { state.withLock { $0.isAnswering = false } }
    return try body()
  }

  /// Takes a SIGINT; false where the program should end.
  func interrupt() -> Bool {
    let isIdle = state.withLock { state -> Bool? in
      let now = ContinuousClock.now
      defer { state.last = now }
      if let last = state.last, now - last < Self.twice { return nil }
      if state.isAnswering { state.isRequested = true }
      return !state.isAnswering
    }
    guard let isIdle else { return false }
    guard isIdle else { return true }
    guard Console.inputIsTerminal else { return false }
    Console.writeError("\n/exit or Ctrl-D ends the chat\n> ")
    return true
  }
}
