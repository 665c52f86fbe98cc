import ArgumentParser
import CommandLineSupport
import ModelArchitectures
import ShardRuntime
import StrictJSON
import TensorCore
import TensorKernels

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measures prefill and decode beside the memory's read bandwidth and the plan.",
    discussion: """
      Each repetition reads a pseudo-random prompt and generates behind it; medians are shown. \
      The read bandwidth is measured before and after, with the same threads.
      """)

  @OptionGroup var bundle: BundleArgument
  @OptionGroup var place: PlaceOptions

  @OptionGroup var amount: BenchOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    try Ranks.guarded(bundle.path, place) { interruption in
      let model = try RunningModel(
        bundle: bundle.path, place: place, common: common, interruption: interruption,
        text: .none)
      defer { model.stop() }
      let request = BenchmarkRequest(
        context: model.limits.context, promptTokens: amount.promptTokens,
        generateTokens: amount.generateTokens, repetitions: amount.repetitions)
      let report = try model.run { try measure(model, request, interruption) }
      if common.json {
        Console.write(report.json)
      } else {
        Console.write(report.text)
      }
      if !model.standsForOthers, let warning = report.drift.warning {
        common.note("warning: \(warning)")
      }
    }
  }

  private func measure(
    _ model: RunningModel, _ request: BenchmarkRequest, _ interruption: Interruption
  ) throws -> BenchReport {
    let threads = model.shard.compute.pool.threads
    var bandwidths: [Double] = []
    // The buffers of the bandwidth probe are no part of a run's memory.
    var peak = ProcessMemory.peakResidentBytes
    // Where memory is short, less is read; a buffer that caches hold says nothing.
    let room = (MemoryAllowance.current()?.bytes ?? .max) - model.shard.ledger.total
    let bytes = min(BandwidthProbe.usualBytes, room)
    func probe() {
      guard bytes >= 64 << 20 else { return }
      bandwidths.append(
        ComputeContext.measureReadBandwidth(threads: threads, bytes: bytes, repetitions: 3))
    }
    let canForget = ProcessMemory.forgetPeak()
    if canForget {
      probe()
      _ = ProcessMemory.forgetPeak()
    }
    let benchmark = Benchmark(runner: model.pipeline, limits: model.limits)
    let result = try benchmark.run(
      request, onWarm: { _ = try model.pipeline.statistics(restart: true) },
      isInterrupted: { interruption.isRequested })
    var nodes = try model.pipeline.statistics()
    peak = max(peak, nodes.first?.peakResidentBytes ?? 0)
    if !nodes.isEmpty { nodes[0].peakResidentBytes = peak }
    probe()
    let speed = SpeedReport(
      request: request, result: result, shard: model.shard, loadSeconds: model.loadSeconds,
      readBandwidths: bandwidths)
    return BenchReport(speed: speed, shard: model.shard, nodes: nodes)
  }
}
