import Synchronization

extension WorkerPool {
  /// Runs work that can fail, and throws the error of the lowest chunk that failed, whatever
  /// the threads; chunks above one that failed may be left out.
  public func runThrowing(chunks: Int, _ body: (Int) throws -> Void) throws {
    let failure = Mutex<(chunk: Int, error: (any Error)?)>((Int.max, nil))
    run(chunks: chunks) { (chunk: Int) in
      guard failure.withLock({ chunk < $0.chunk }) else { return }
      do { try body(chunk) } catch {
        failure.withLock { if chunk < $0.chunk { $0 = (chunk, error) } }
      }
    }
    if let error = failure.withLock({ $0.error }) { throw error }
  }
}
