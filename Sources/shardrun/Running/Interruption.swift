import Foundation
import Synchronization

/// Notices SIGINT and SIGTERM, and sees to it that the process ends soon after.
///
/// The first signal asks the work to stop where it is whole; whoever works looks at
/// `isRequested` between two tokens. After the grace period, or with a second signal, the
/// process ends wherever it is.
final class Interruption: Sendable {
  /// What `onRequest` and `onForcedEnd` were given.
  private struct Actions {
    var request: (@Sendable () -> Void)?
    var forcedEnd: (@Sendable () -> Void)?
    var interrupt: (@Sendable () -> Bool)?
    /// What the work has to end after the first signal.
    var graceSeconds = 2.0
  }

  private let received = Atomic<Int32>(0)
  private let actions = Mutex(Actions())

  /// Begins to listen.
  ///
  /// Precondition: the process has one thread so far, because those it makes later inherit what
  /// signals they leave alone.
  init() {
    var signals = Self.signals
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    Thread.detachNewThread { [self] in listen() }
  }

  private static var signals: sigset_t {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    unsafe sigaddset(&set, SIGINT)
    unsafe sigaddset(&set, SIGTERM)
    return set
  }

  /// Whether the work should stop.
  var isRequested: Bool { received.load(ordering: .relaxed) != 0 }

  /// Calls the action, once, with the first signal, which may have come already.
  func onRequest(_ action: @escaping @Sendable () -> Void) {
    let isLate = actions.withLock { actions in
      actions.request = isRequested ? nil : action
      return isRequested
    }
    if isLate { action() }
  }

  /// Gives the work more time after a signal than two seconds.
  func grant(graceSeconds: Double) { actions.withLock { $0.graceSeconds = graceSeconds } }

  /// Calls the action where the process ends in the middle of its work.
  func onForcedEnd(_ action: @escaping @Sendable () -> Void) {
    actions.withLock { $0.forcedEnd = action }
  }

  /// Asks the action first whenever SIGINT comes; where it returns true that is all that happens.
  func onInterrupt(_ action: @escaping @Sendable () -> Bool) {
    actions.withLock { $0.interrupt = action }
  }

  private func listen() {
    var signals = Self.signals
    var signal: Int32 = 0
    repeat {
      guard unsafe sigwait(&signals, &signal) == 0 else { return }
    } while signal == SIGINT && actions.withLock { $0.interrupt }?() == true
    let (request, grace) = actions.withLock { actions in
      received.store(signal, ordering: .relaxed)
      return (actions.request, actions.graceSeconds)
    }
    Thread.detachNewThread { [self] in
      Thread.sleep(forTimeInterval: grace)
      endInTheMiddle()
    }
    if let request { Thread.detachNewThread { request() } }
    var second: Int32 = 0
    guard unsafe sigwait(&signals, &second) == 0 else { return }
    endInTheMiddle()
  }

  private func endInTheMiddle() -> Never {
    let action = actions.withLock { actions in
      defer { actions.forcedEnd = nil }
      return actions.forcedEnd
    }
    action?()
    endProcess()
  }

  /// Ends the process as the signal would have, so that a shell sees what happened.
  func endProcess() -> Never {
    let number = received.load(ordering: .relaxed)
    fflush(nil)
    signal(number, SIG_DFL)
    var signals = Self.signals
    unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    raise(number)
    _exit(128 + number)
  }

  /// Runs a command's work; a signal ends the process after it.
  static func guarded(_ work: (Interruption) throws -> Void) throws {
    let interruption = Interruption()
    do {
      try work(interruption)
    } catch {
      if interruption.isRequested { interruption.endProcess() }
      throw error
    }
    if interruption.isRequested { interruption.endProcess() }
  }
}
