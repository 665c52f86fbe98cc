import Synchronization
import TensorCore

/// Counts bytes from several threads and reports them about every 8 MiB.
final class ProgressMeter: Sendable {
  private let phase: String
  private let total: Int
  private let handler: ProgressHandler?
  private let state = Mutex<(done: Int, reported: Int)>((0, 0))

  init(phase: String, total: Int, handler: ProgressHandler?) {
    self.phase = phase
    self.total = total
    self.handler = handler
  }

  func add(_ byteCount: Int) {
    guard let handler else { return }
    let done: Int? = state.withLock { state in
      state.done += byteCount
      guard state.done - state.reported >= 8 << 20 || state.done == total else { return nil }
      state.reported = state.done
      return state.done
    }
    if let done {
      handler(ProgressUpdate(phase: phase, completedBytes: done, totalBytes: total))
    }
  }
}
