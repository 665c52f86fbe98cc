import Foundation
import Synchronization

/// One piece of work at a time beside what the caller does: reading ahead, digests and waiting for
/// the disk, while the pool computes.
final class SideWork: Sendable {
  private struct State {
    var isRunning = false
    var error: (any Error)?
  }

  private let state = Mutex(State())
  private let done = DispatchSemaphore(value: 0)

  /// Precondition: the piece before was waited for.
  func start(_ work: @escaping @Sendable () throws -> Void) {
    state.withLock {
      precondition(!$0.isRunning, "work was started beside work that nobody has waited for")
      $0.isRunning = true
    }
    Thread.detachNewThread { [self] in
      do { try work() } catch { state.withLock { $0.error = error } }
      done.signal()
    }
  }

  /// Waits for the piece; throws what it has thrown.
  func wait() throws {
    let error = finish()
    if let error { throw error }
  }

  /// Waits for the piece, if there is one.
  @discardableResult
  func finish() -> (any Error)? {
    guard state.withLock({ $0.isRunning }) else { return nil }
    done.wait()
    return state.withLock { state in
      state.isRunning = false
      defer { state.error = nil }
      return state.error
    }
  }
}
