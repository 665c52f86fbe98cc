import ArgumentParser
import CommandLineSupport
import StrictJSON
import Synchronization
import TensorCore
import TensorKernels

/// `shardbench pool`: what it costs to hand a job to the threads and to have it back.
struct PoolCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pool",
    abstract: "Measures the fork and join of the worker pool.",
    discussion: """
      An empty job may be over before another thread sees it, so it is given in two forms: as it \
      is, and with chunks that wait until every thread has begun one; the latter also after a \
      pause in which the threads went to sleep. The job of 200 µs of work for one thread, in four \
      chunks for each thread, is shown beside its ideal: the time that one thread took, divided \
      by the threads.
      """)

  @OptionGroup var compute: ThreadOptions

  @Option(help: "Repetitions of the empty job; the others have a fiftieth of them.")
  var repetitions = 50_000

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (50...10_000_000).contains(repetitions) else {
      throw ValidationError(
        "--repetitions takes a number from 50 to 10000000, not \(repetitions).")
    }
  }

  func run() {
    let threads = compute.threads ?? WorkerPool.defaultThreadCount
    let rows = PoolBenchmark(threads: threads).measure(repetitions: repetitions)
    guard !common.json else {
      return Console.write([
        "schema": "shardbench.pool/1", "threads": JSONValue(threads),
        "jobs": .array(rows.map(\.json)),
      ])
    }
    var table = TextTable([
      ("job", .left), ("chunks", .right), ("ideal µs", .right), ("median µs", .right),
      ("p95 µs", .right), ("beyond ideal µs", .right),
    ])
    for row in rows { table.add(row.cells) }
    Console.write("\(Quantity.count(threads, "thread"))\n" + table.rendered())
  }
}

/// Times of one job.
struct PoolSample {
  let job: String
  let chunks: Int
  /// Seconds of the job without any cost of dividing it.
  let ideal: Double
  let seconds: [Double]

  private var median: Double { Samples.median(seconds) }
  private var p95: Double { Samples.quantile(0.95, of: seconds) }

  var cells: [String] {
    [job, String(chunks)]
      + [ideal, median, p95, median - ideal].map { Quantity.fixed($0 * 1e6, digits: 2) }
  }

  var json: JSONValue {
    [
      "job": .string(job), "chunks": JSONValue(chunks), "repetitions": JSONValue(seconds.count),
      "ideal_seconds": .double(ideal), "median_seconds": .double(median),
      "p95_seconds": .double(p95),
    ]
  }
}

final class PoolBenchmark: Sendable {
  let threads: Int
  private let pool: WorkerPool
  /// Where results go, so that they count as used.
  private let sink = Atomic<UInt64>(0)

  init(threads: Int) {
    self.threads = threads
    pool = WorkerPool(threads: threads)
  }

  func measure(repetitions: Int) -> [PoolSample] {
    let few = max(1, repetitions / 50)
    let empty = times(repetitions) { pool.run(chunks: threads) { _ in } }
    let everywhere = times(repetitions) { meet() }
    // Longer than threads spin.
    let pause = Duration.milliseconds(1)
    var woken: [Double] = []
    for _ in 0..<few {
      let end = ContinuousClock.now + pause
      while ContinuousClock.now < end {}
      woken += times(1) { meet() }
    }
    let chunks = 4 * threads
    let rounds = rounds(seconds: 200e-6 / Double(chunks))
    var alone: [Double] = []
    var divided: [Double] = []
    for _ in 0..<few {
      alone += times(1) { for chunk in 0..<chunks { work(rounds, chunk) } }
      // The threads are awake, as they are within a token.
      meet()
      divided += times(1) { pool.run(chunks: chunks) { work(rounds, $0) } }
    }
    let ideal = Samples.median(alone) / Double(threads)
    return [
      PoolSample(job: "empty", chunks: threads, ideal: 0, seconds: empty),
      PoolSample(job: "empty, on every thread", chunks: threads, ideal: 0, seconds: everywhere),
      PoolSample(job: "the same after a pause", chunks: threads, ideal: 0, seconds: woken),
      PoolSample(job: "200 µs", chunks: chunks, ideal: ideal, seconds: divided),
    ]
  }

  /// A job whose chunks end when all of them have begun.
  private func meet() {
    let begun = Atomic(0)
    pool.run(chunks: threads) { _ in
      begun.wrappingAdd(1, ordering: .acquiringAndReleasing)
      while begun.load(ordering: .acquiring) < threads {}
    }
  }

  private func times(_ count: Int, _ job: () -> Void) -> [Double] {
    let clock = ContinuousClock()
    return (0..<count).map { _ in clock.measure(job).seconds }
  }

  /// A chain of operations that takes the same time on every thread.
  private func work(_ rounds: Int, _ seed: Int) {
    var state = UInt64(truncatingIfNeeded: seed)
    var last: UInt64 = 0
    for _ in 0..<rounds {
      state ^= last
      last = SplitMix.next(&state)
    }
    sink.wrappingAdd(last, ordering: .relaxed)
  }

  /// How many rounds of `work` take so long.
  private func rounds(seconds: Double) -> Int {
    let trial = 10_000
    let rates = times(19) { work(trial, 1) }.map { Double(trial) / $0 }
    return max(1, Int(seconds * Samples.median(rates)))
  }
}
