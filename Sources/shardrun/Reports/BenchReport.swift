import CommandLineSupport
import ShardPlanning
import ShardRuntime
import StrictJSON
import TensorCore

/// The result of `bench` for people and for programs.
struct BenchReport {
  let request: BenchmarkRequest
  let result: BenchmarkResult
  let shard: LoadedShard
  let nodes: [NodeStatistics]
  let loadSeconds: Double
  let threads: Int
  let instructionSet: String
  let weightBytesPerToken: Int
  let readBandwidths: [Double]

  private var plan: ShardPlan { shard.plan }
  private var report: NodeReport { NodeReport(shard, nodes) }
  /// How far a token's time is from the prediction.
  var drift: PredictionDrift { PredictionDrift(tokenSeconds: tokenSeconds, plan: plan) }

  private var prefillRates: [Double] {
    result.firstTokenSeconds.map { Double(request.promptTokens) / $0 }
  }
  private var decodeRates: [Double] { result.tokenSeconds.map { 1 / $0 } }
  private var decodeRate: Double { BenchmarkResult.median(decodeRates) }
  private var bandwidth: Double { BenchmarkResult.median(readBandwidths) }
  /// Weight bytes that decoding moves in a second.
  private var weightRate: Double { decodeRate * Double(weightBytesPerToken) }
  private var tokenSeconds: Double { BenchmarkResult.median(result.tokenSeconds) }
  /// What of a token's time no node computed: messages and waiting.
  private var messageSeconds: Double {
    max(0, tokenSeconds - nodes.reduce(0) { $0 + ($1.secondsPerDecodeStep ?? 0) })
  }

  var json: JSONValue {
    [
      "schema": "shardrun.bench/1",
      "prompt_tokens": JSONValue(request.promptTokens),
      "generate_tokens": JSONValue(request.generateTokens),
      "repetitions": JSONValue(request.repetitions),
      "threads": JSONValue(threads),
      "instruction_set": .string(instructionSet),
      "load_seconds": .double(loadSeconds),
      "prefill_tokens_per_second": .double(BenchmarkResult.median(prefillRates)),
      "prefill_tokens_per_second_samples": .array(prefillRates.map { .double($0) }),
      "decode_tokens_per_second": .double(decodeRate),
      "decode_tokens_per_second_samples": .array(decodeRates.map { .double($0) }),
      "weight_bytes_per_token": JSONValue(weightBytesPerToken),
      "weight_bytes_per_second": .double(weightRate),
      "read_bandwidth_bytes_per_second": .double(bandwidth),
      "read_bandwidth_bytes_per_second_samples": .array(readBandwidths.map { .double($0) }),
      "predicted": [
        "token_seconds": .double(Double(plan.prediction.tokenNanoseconds) * 1e-9),
        "first_token_seconds": .double(Double(plan.prediction.firstTokenNanoseconds) * 1e-9),
        "prompt_tokens": JSONValue(plan.prediction.workload.promptTokens),
      ],
      "measured": [
        "token_seconds": .double(tokenSeconds),
        "first_token_seconds": .double(BenchmarkResult.median(result.firstTokenSeconds)),
        "message_seconds_per_token": .double(messageSeconds),
      ],
      "token_drift": .double(drift.share),
      "nodes": report.json,
    ]
  }

  var text: String {
    func row(_ name: String, _ value: String) -> [String] { [name, value] }
    var table = TextTable([("measured", .left), ("", .right)])
    let prefill = Quantity.fixed(BenchmarkResult.median(prefillRates), digits: 1)
    table.add(
      row("prefill of \(Quantity.count(request.promptTokens, "token"))", "\(prefill) tokens/s"))
    table.add(
      row(
        "decode of \(Quantity.count(request.generateTokens, "token"))",
        "\(Quantity.fixed(decodeRate, digits: 1)) tokens/s"))
    table.add(row("weights read per token", Quantity.describe(bytes: weightBytesPerToken)))
    table.add(row("weights read", "\(Quantity.fixed(weightRate * 1e-9, digits: 2)) GB/s"))
    if bandwidth > 0 {
      table.add(row("read bandwidth", "\(Quantity.fixed(bandwidth * 1e-9, digits: 2)) GB/s"))
      table.add(row("share of the roof", percent(weightRate / bandwidth)))
    }
    table.add(row("messages and waiting", milliseconds(messageSeconds) + " per token"))
    var stages = TextTable([
      ("node", .left), ("layers", .left), ("ms/token", .right), ("predicted", .right),
      ("peak memory", .right), ("planned", .right),
    ])
    for node in nodes {
      let planned = try? plan.node(named: node.node)
      stages.add([
        node.node, "\(node.layers.lowerBound)-\(node.layers.upperBound - 1)",
        node.secondsPerDecodeStep.map { Quantity.fixed($0 * 1e3, digits: 3) } ?? "",
        planned.map { Quantity.fixed(Double($0.predicted.decodeNanoseconds) * 1e-6, digits: 3) }
          ?? "",
        Quantity.describe(bytes: node.peakResidentBytes),
        report.ledgerBytes(node).map { Quantity.describe(bytes: $0) } ?? "",
      ])
    }
    let predicted = Double(plan.prediction.tokenNanoseconds) * 1e-9
    return table.rendered() + "\n" + stages.rendered() + "\n"
      + "token: measured \(milliseconds(tokenSeconds)), "
      + "predicted for the planned machines \(milliseconds(predicted))\n"
  }

  private func percent(_ share: Double) -> String { "\(Quantity.fixed(share * 100, digits: 1)) %" }

  private func milliseconds(_ seconds: Double) -> String {
    "\(Quantity.fixed(seconds * 1e3, digits: 3)) ms"
  }
}
