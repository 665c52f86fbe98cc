import CommandLineSupport
import ShardRuntime
import StrictJSON
import TensorCore
import TensorKernels

/// Decoding where the caches already hold some positions.
struct PositionSample {
  let position: Int
  let weightBytes: Int
  /// Keys and values that a token reads at this position.
  let cacheBytes: Int
  /// Mean time of a token, one for each repetition.
  var tokenSeconds: [Double] = []
  /// Bytes per second, one for each repetition.
  var readBandwidths: [Double] = []

  var bytes: Int { weightBytes + cacheBytes }
  var seconds: Double { Samples.median(tokenSeconds) }
}

/// Measures decoding at several positions by turns, so that what slows the machine down for a
/// while slows all of them down.
struct PositionBenchmark {
  let shard: LoadedShard
  let positions: [Int]
  /// Tokens that one sample decodes.
  let tokens: Int

  func run(repetitions: Int) -> [PositionSample] {
    let session = shard.makeSession()
    let hidden = Matrix(rows: session.prefillChunk, columns: shard.hiddenSize)
    let last = (positions.max() ?? 0) + tokens
    let ids = Benchmark.prompt(last, vocabularySize: shard.vocabularySize)
    for first in stride(from: 0, to: last, by: session.prefillChunk) {
      let part = Array(ids[first..<min(last, first + session.prefillChunk)])
      session.embed(part, firstPosition: first, into: hidden)
      session.forward(hidden, rows: part.count, firstPosition: first)
    }
    let probe = BandwidthProbe(bytes: BandwidthProbe.usualBytes)
    var samples = positions.map {
      PositionSample(
        position: $0, weightBytes: shard.bytesReadPerToken,
        cacheBytes: cacheBytes(position: $0 + tokens / 2))
    }
    for repetition in -1..<repetitions {
      for index in samples.indices {
        let seconds = decode(session, hidden, from: samples[index].position)
        let bandwidth = probe.measure(shard.compute.pool)
        // The first turn warms up.
        guard repetition >= 0 else { continue }
        samples[index].tokenSeconds.append(seconds)
        samples[index].readBandwidths.append(bandwidth)
      }
    }
    return samples
  }

  /// Decodes from a position on, over what the caches hold before it.
  private func decode(
    _ session: ShardSession, _ hidden: Matrix, from position: Int
  ) -> Double {
    var token: Int32 = 1
    let elapsed = ContinuousClock().measure {
      for step in 0..<tokens {
        session.embed([token], firstPosition: position + step, into: hidden)
        session.forward(hidden, rows: 1, firstPosition: position + step)
        let logits = session.logits(hidden, rows: 0..<1)
        token = Int32(shard.compute.argmax(logits, row: 0))
      }
    }
    return elapsed.seconds / Double(tokens)
  }

  /// Bytes of keys and values that a token at a position attends to, in all layers.
  private func cacheBytes(position: Int) -> Int {
    let memory = shard.memory
    return shard.layers.reduce(0) { sum, layer in
      let shape = memory.architecture.keyValueShape(layer: layer)
      let span = min(position + 1, shape.window ?? .max)
      return sum
        + KeyValueCache.byteCount(
          keyValueHeads: shape.heads, headDimension: shape.headDimension, capacity: span,
          format: memory.cacheFormat)
    }
  }
}

/// Decoding by position for people and for programs.
struct PositionReport {
  let samples: [PositionSample]
  let tokens: Int
  let repetitions: Int
  let threads: Int
  let instructionSet: String

  /// Time beside that at the first position.
  private func slowdown(_ sample: PositionSample) -> Double { sample.seconds / samples[0].seconds }

  /// Bytes beside those at the first position.
  private func growth(_ sample: PositionSample) -> Double {
    Double(sample.bytes) / Double(samples[0].bytes)
  }

  var json: JSONValue {
    [
      "schema": "shardbench.positions/1",
      "generate_tokens": JSONValue(tokens),
      "repetitions": JSONValue(repetitions),
      "threads": JSONValue(threads),
      "instruction_set": .string(instructionSet),
      "positions": .array(
        samples.map { sample in
          [
            "position": JSONValue(sample.position),
            "weight_bytes_per_token": JSONValue(sample.weightBytes),
            "cache_bytes_per_token": JSONValue(sample.cacheBytes),
            "token_seconds": .double(sample.seconds),
            "token_seconds_samples": .array(sample.tokenSeconds.map { .double($0) }),
            "slowdown": .double(slowdown(sample)),
            "slowdown_by_bytes": .double(growth(sample)),
            "read_bandwidth_bytes_per_second": .double(Samples.median(sample.readBandwidths)),
          ]
        }),
    ]
  }

  var text: String {
    var table = TextTable([
      ("position", .right), ("tokens/s", .right), ("weights", .right), ("keys, values", .right),
      ("slowdown", .right), ("by bytes", .right), ("beyond", .right), ("GB/s", .right),
      ("read GB/s", .right),
    ])
    for sample in samples {
      let beyond = (slowdown(sample) / growth(sample) - 1) * 100
      table.add([
        String(sample.position), Quantity.fixed(1 / sample.seconds, digits: 2),
        Quantity.describe(bytes: sample.weightBytes), Quantity.describe(bytes: sample.cacheBytes),
        Quantity.fixed(slowdown(sample), digits: 3), Quantity.fixed(growth(sample), digits: 3),
        "\(Quantity.fixed(beyond, digits: 1)) %",
        Quantity.fixed(Double(sample.bytes) / sample.seconds * 1e-9, digits: 2),
        Quantity.fixed(Samples.median(sample.readBandwidths) * 1e-9, digits: 2),
      ])
    }
    return table.rendered()
  }
}
