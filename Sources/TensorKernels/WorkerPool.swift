import CKernels

/// Compute threads that run the chunks of one job after the other.
///
/// The calling thread works too. Threads claim chunks as they come free, spin for about 50
/// microseconds after their last one and then sleep. A job given while another is running, also
/// from inside a chunk, runs on its own thread.
///
// SAFETY: the C pool synchronizes its threads itself; the pointer never changes.
@safe public final class WorkerPool: @unchecked Sendable {
  /// Threads that work on a job, the caller included.
  public let threads: Int
  private let pool: OpaquePointer

  /// Most threads of one pool.
  public static let threadLimit = 1024

  /// Precondition: `threads` is 1 to `threadLimit`, and the system grants them.
  public init(threads: Int) {
    precondition(
      threads >= 1 && threads <= Self.threadLimit, "a pool cannot have \(threads) threads")
    guard let pool = unsafe ck_pool_create(threads) else {
      preconditionFailure("the system refuses \(threads) threads")
    }
    self.threads = threads
    unsafe self.pool = unsafe pool
  }

  deinit {
    unsafe ck_pool_destroy(pool)
  }

  /// Cores this process may use, hardware threads of one core counted once; at least 1.
  public static var defaultThreadCount: Int {
    min(ck_core_count(), threadLimit)
  }

  /// Runs `body` for every chunk in `0..<chunks`, on any thread, and returns when all are done.
  public func run(chunks: Int, _ body: (Int) -> Void) {
    run(chunks: chunks) { chunk, _ in body(chunk) }
  }

  /// The same, and tells the body which of the `threads` slots it runs on.
  ///
  /// No two chunks of one job run in a slot at the same time.
  public func run(chunks: Int, _ body: (_ chunk: Int, _ slot: Int) -> Void) {
    precondition(chunks <= Int(Int32.max), "a job cannot have \(chunks) chunks")
    guard chunks > 1, threads > 1 else {
      for chunk in 0..<max(chunks, 0) { body(chunk, 0) }
      return
    }
    withoutActuallyEscaping(body) { body in
      var job = Job(body: body)
      unsafe withUnsafeMutablePointer(to: &job) { job in
        unsafe ck_pool_run(
          pool, chunks,
          { context, chunk, slot in
            guard let job = unsafe context?.assumingMemoryBound(to: Job.self) else { return }
            unsafe job.pointee.body(chunk, slot)
          }, job)
      }
    }
  }

  private struct Job {
    let body: (Int, Int) -> Void
  }
}
