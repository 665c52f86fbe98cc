#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A thread of its own that does jobs one after another and sleeps while there is none.
public final class DedicatedThread: Sendable {
  public typealias Job = @Sendable () -> Void

  private struct Queue {
    /// Nil where it has been taken, so that nothing of it is kept.
    var jobs: [Job?] = []
    var next = 0
    var isClosed = false
    var hasEnded = false

    mutating func take() -> Job? {
      guard next < jobs.count else { return nil }
      let job = jobs[next]
      jobs[next] = nil
      next += 1
      // A queue that is never empty does not grow either.
      if next == jobs.count {
        jobs.removeAll(keepingCapacity: true)
        next = 0
      } else if next >= 64, 2 * next >= jobs.count {
        jobs.removeFirst(next)
        next = 0
      }
      return job
    }
  }

  private let queue: Monitor<Queue>

  public init() {
    let queue = Monitor(Queue())
    self.queue = queue
    startThread {
      while let job = Self.next(queue) { job() }
      queue.update { $0.hasEnded = true }
    }
  }

  deinit { close() }

  /// Does a job after those before it.
  public func enqueue(_ job: @escaping Job) {
    queue.update { state in
      if !state.isClosed { state.jobs.append(job) }
    }
  }

  /// Takes no more jobs; the thread ends after those that are queued.
  public func close() { queue.update { $0.isClosed = true } }

  /// Finishes what is queued and ends the thread; not to be called from a job.
  public func finish() {
    queue.update { $0.isClosed = true }
    _ = queue.wait { $0.hasEnded ? true : nil }
  }

  private static func next(_ queue: Monitor<Queue>) -> Job? {
    let taken: Job?? = queue.wait { state in
      if let job = state.take() { return .some(job) }
      return state.isClosed ? .some(nil) : nil
    }
    return taken ?? nil
  }
}

/// What a new thread runs.
private final class ThreadBody: Sendable {
  let run: @Sendable () -> Void

  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Starts a detached thread.
private func startThread(_ run: @escaping @Sendable () -> Void) {
  let context = unsafe Unmanaged.passRetained(ThreadBody(run)).toOpaque()
  var attributes = pthread_attr_t()
  unsafe pthread_attr_init(&attributes)
  unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  unsafe pthread_attr_setstacksize(&attributes, 4 << 20)
  #if canImport(Glibc)
    var thread = pthread_t()
  #else
    var thread: pthread_t?
  #endif
  let status = unsafe pthread_create(&thread, &attributes, threadMain, context)
  unsafe pthread_attr_destroy(&attributes)
  precondition(status == 0, "the system gives no more threads (error \(status))")
}

#if canImport(Glibc)
  private func threadMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context = unsafe context else { return nil }
    let body = unsafe Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue()
    body.run()
    return nil
  }
#else
  private func threadMain(_ context: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    let body = unsafe Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue()
    body.run()
    return nil
  }
#endif
