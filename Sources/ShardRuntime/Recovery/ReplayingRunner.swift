import ShardTransport

/// A sequence that outlives the rings it runs on: it keeps its ids, and when a ring is lost it has
/// them computed again on the next one and goes on.
///
/// What follows is the same to the bit, because results depend on the ids alone, and random
/// choices on the seed and the number of the step.
public final class ReplayingRunner: SequenceRunner {
  private var runner: any SequenceRunner
  private let recovery: RingRecovery
  private let connect: (any Error, Duration) throws -> any SequenceRunner
  /// The ids that the ring holds, or will hold again.
  private var history: [Int32] = []
  public private(set) var timeLost = Duration.zero

  /// - Parameter connect: makes a ring; takes the error before, and how long peers that do not
  ///   answer are asked again.
  public init(
    _ runner: any SequenceRunner, recovery: RingRecovery,
    connect: @escaping (any Error, Duration) throws -> any SequenceRunner
  ) {
    self.runner = runner
    self.recovery = recovery
    self.connect = connect
  }

  public func reset() throws { _ = try rewind(to: 0) }

  public func rewind(to count: Int) throws -> Int {
    let start = Monotonic.now()
    var kept = 0
    do {
      kept = try runner.rewind(to: count)
    } catch {
      // A new ring holds nothing, and whoever rewinds runs what is missing.
      runner = try recovery.restore(after: error, replaying: count, connect)
      timeLost += Monotonic.now() - start
    }
    history.removeSubrange(kept...)
    return kept
  }

  public func run(_ ids: [Int32], firstPosition: Int, output: StepOutput) throws -> StepResult {
    let start = Monotonic.now()
    let result: StepResult
    do {
      result = try runner.run(ids, firstPosition: firstPosition, output: output)
    } catch {
      result = try replay(after: error, since: start) {
        try runner.run(ids, firstPosition: firstPosition, output: output)
      }
    }
    recovery.madeProgress()
    history += ids
    return result
  }

  /// Brings a new ring to where the old one was, and runs what failed.
  private func replay(
    after error: any Error, since start: Duration, _ body: () throws -> StepResult
  ) throws -> StepResult {
    let before = timeLost
    var error = error
    while true {
      runner = try recovery.restore(after: error, replaying: history.count, connect)
      do {
        if !history.isEmpty {
          _ = try runner.run(history, firstPosition: 0, output: .nothing)
        }
        timeLost = before + (Monotonic.now() - start)
        return try body()
      } catch let next {
        error = next
      }
    }
  }
}
