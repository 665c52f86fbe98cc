import ShardTransport
import Synchronization
import Testing

@Suite struct DedicatedThreadTests {
  /// Counts how many of its kind there are.
  private final class Burden: Sendable {
    static let alive = Atomic(0)
    static let most = Atomic(0)
    init() {
      let count = Self.alive.add(1, ordering: .relaxed).newValue
      _ = Self.most.max(count, ordering: .relaxed)
    }
    deinit { Self.alive.subtract(1, ordering: .relaxed) }
  }

  /// A queue that is never empty keeps nothing of what is done.
  @Test func jobsThatAreDoneAreForgotten() {
    let thread = DedicatedThread()
    let done = Monitor(0)
    @Sendable func job(_ burden: Burden) {
      let count = done.withLock { count in
        count += 1
        return count
      }
      if count < 20_000 {
        let next = Burden()
        thread.enqueue { job(next) }
      }
      done.update { _ in }
      withExtendedLifetime(burden) {}
    }
    for _ in 0..<3 {
      let burden = Burden()
      thread.enqueue { job(burden) }
    }
    _ = done.wait { $0 >= 20_000 ? true : nil }
    thread.finish()
    #expect(Burden.most.load(ordering: .relaxed) < 50)
  }
}
