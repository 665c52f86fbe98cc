import ArgumentParser
import CommandLineSupport
import ShardRuntime
import StrictJSON
import TensorCore
import TensorKernels

/// `shardbench generate`: prefill and decode in this process, or decode at some positions.
struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Measures prefill and decode of a bundle for one node, in this process.",
    discussion: """
      Each repetition reads a pseudo-random prompt and generates behind it, then measures the \
      memory's read bandwidth; medians are shown. With --positions it measures decoding alone, \
      where the caches already hold so many positions, one position after the other in each \
      repetition; --generate-tokens says how many tokens (default: 16).
      """)

  @OptionGroup var bundle: BenchBundle

  @OptionGroup var amount: BenchOptions

  @Option(help: "Positions at which decoding is measured, such as 64,4000.")
  var positions: NumberList?

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if positions != nil, amount.promptTokens != nil {
      throw ValidationError("--positions and --prompt-tokens exclude each other.")
    }
  }

  func run() throws {
    let start = ContinuousClock.now
    let shard = try bundle.loadWhole()
    if let positions {
      return try measure(shard, at: positions.numbers)
    }
    let pipeline = try InferencePipeline(stage: shard.makeStage())
    defer { pipeline.shutdown() }
    let loadSeconds = (ContinuousClock.now - start).seconds
    let limits = SequenceLimits(shard)
    let request = BenchmarkRequest(
      context: limits.context, promptTokens: amount.promptTokens,
      generateTokens: amount.generateTokens, repetitions: amount.repetitions)
    let probe = BandwidthProbe(bytes: BandwidthProbe.usualBytes)
    var bandwidths: [Double] = []
    let result = try Benchmark(runner: pipeline, limits: limits).run(
      request, onRepetition: { bandwidths.append(probe.measure(shard.compute.pool)) })
    let report = SpeedReport(
      request: request, result: result, shard: shard, loadSeconds: loadSeconds,
      readBandwidths: bandwidths)
    guard !common.json else {
      return Console.write(.object(report.json(schema: "shardbench.generate/1")))
    }
    var table = TextTable([("measured", .left), ("", .right)])
    for line in report.lines { table.add(line) }
    Console.write(table.rendered())
  }

  private func measure(_ shard: LoadedShard, at positions: [Int]) throws {
    let benchmark = PositionBenchmark(
      shard: shard, positions: positions, tokens: amount.generateTokens ?? 16)
    let limits = SequenceLimits(shard)
    for position in positions { try limits.check(positions: position + benchmark.tokens) }
    let report = PositionReport(
      samples: benchmark.run(repetitions: amount.repetitions), tokens: benchmark.tokens,
      repetitions: amount.repetitions, threads: shard.compute.pool.threads,
      instructionSet: shard.compute.instructionSet.rawValue)
    if common.json { Console.write(report.json) } else { Console.write(report.text) }
  }
}

extension SequenceLimits {
  init(_ shard: LoadedShard) {
    self.init(
      context: shard.plan.settings.context, vocabularySize: shard.vocabularySize,
      modelContext: shard.dimensions.contextLength)
  }
}
