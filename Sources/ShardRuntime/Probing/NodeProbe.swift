import Quantization
import ShardPlanning
import ShardTransport
import TensorCore
import TensorKernels

/// Measures how fast this machine computes, in the terms of the planner's cost model.
public struct NodeProbe {
  private let compute: ComputeContext
  /// How long one figure is measured.
  private let patience: Duration
  /// Weights of one scheme that are read over and over: far more than caches hold.
  private let bytes: Int

  /// Schemes whose kernels are measured.
  public static let schemes = ["q4", "q8", "f16"]

  public init(
    compute: ComputeContext, patience: Duration = .milliseconds(900), bytes: Int = 192 << 20
  ) {
    self.compute = compute
    self.patience = patience
    self.bytes = bytes
  }

  /// What was measured.
  ///
  /// - Parameter announce: hears what is being measured.
  public func measure(_ announce: (String) -> Void = { _ in }) throws -> ComputeProfile {
    var rates: [String: Int] = [:]
    var layer = Duration.zero
    var operationRate = 0.0
    for name in Self.schemes {
      announce("matrix-vector products with \(name) weights")
      let layers = try ProbeLayers(
        try Schemes.named(name), bytes: bytes, threads: compute.pool.threads)
      let vectors = ProbeVectors(layers.matrices)
      func multiply() { layers.multiply(compute, vectors) }
      guard name == "q4" else {
        rates[name] = Int(Double(layers.byteCount) / usual(multiply).inSeconds)
        continue
      }
      announce("whole layers, token by token and in chunks of \(ProbeLayers.chunk)")
      let position = ProbeLayers.context / 2
      // In turns, because their difference counts and the machine may change its pace.
      let (time, token) = usual(multiply) {
        layers.forward(compute, rows: 1, position: position)
      }
      let rate = Double(layers.byteCount) / time.inSeconds
      rates[name] = Int(rate)
      let read = Double(layers.byteCount + layers.cacheBytes(position: position)) / rate
      layer = .seconds(max(0, token.inSeconds - read) / Double(layers.blocks.count))
      let rows = ProbeLayers.chunk
      let chunk = usual { layers.forward(compute, rows: rows, position: rows) }
      let operations = layers.operations(position: rows + rows / 2) * rows
      let computing = chunk.inSeconds - layer.inSeconds * Double(layers.blocks.count)
      operationRate = Double(operations) / max(1e-9, computing)
    }
    return ComputeProfile(
      weightBytesPerSecond: rates["q4"] ?? 1, weightBytesPerSecondByScheme: rates,
      operationsPerSecond: Int(operationRate), layerNanoseconds: Int(layer.inSeconds * 1e9),
      passNanoseconds: Int(sampling().inSeconds * 1e9))
  }

  /// What a token costs beside the layers: choosing it from 32,000 logits.
  private func sampling() -> Duration {
    let logits = Matrix(rows: 1, columns: 32_000)
    return usual {
      _ = logits.withRow(0) { Sampler.sample($0, .greedy, step: 0) }
    }
  }

  /// The time that some work takes where nothing disturbs it: a quarter of the runs is faster. A
  /// first run does not count.
  private func usual(_ work: () -> Void) -> Duration { usual(work, {}).0 }

  /// The same for two kinds of work that take turns.
  private func usual(_ first: () -> Void, _ second: () -> Void) -> (Duration, Duration) {
    first()
    second()
    var times: [(first: Duration, second: Duration)] = []
    let end = Monotonic.now() + patience
    repeat {
      let start = Monotonic.now()
      first()
      let middle = Monotonic.now()
      second()
      times.append((middle - start, Monotonic.now() - middle))
    } while Monotonic.now() < end
    let place = times.count / 4
    return (times.map(\.first).sorted()[place], times.map(\.second).sorted()[place])
  }
}
