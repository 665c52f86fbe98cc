import CommandLineSupport
import ShardPlanning
import ShardRuntime
import StrictJSON
import TensorCore

/// The result of `bench` for people and for programs.
struct BenchReport {
  let speed: SpeedReport
  let shard: LoadedShard
  let nodes: [NodeStatistics]

  private var plan: ShardPlan { shard.plan }
  private var report: NodeReport { NodeReport(shard, nodes) }
  /// How far a token's time is from the prediction.
  var drift: PredictionDrift { PredictionDrift(tokenSeconds: speed.tokenSeconds, plan: plan) }

  /// What of a token's time no node computed: messages and waiting.
  private var messageSeconds: Double {
    max(0, speed.tokenSeconds - nodes.reduce(0) { $0 + ($1.secondsPerDecodeStep ?? 0) })
  }

  var json: JSONValue {
    var members = speed.json(schema: "shardrun.bench/1")
    members["predicted"] = [
      "token_seconds": .double(Double(plan.prediction.tokenNanoseconds) * 1e-9),
      "first_token_seconds": .double(Double(plan.prediction.firstTokenNanoseconds) * 1e-9),
      "prompt_tokens": JSONValue(plan.prediction.workload.promptTokens),
    ]
    members["measured"] = [
      "token_seconds": .double(speed.tokenSeconds),
      "first_token_seconds": .double(speed.firstTokenSeconds),
      "message_seconds_per_token": .double(messageSeconds),
    ]
    members["token_drift"] = .double(drift.share)
    members["nodes"] = report.json
    return .object(members)
  }

  var text: String {
    var table = TextTable([("measured", .left), ("", .right)])
    for line in speed.lines { table.add(line) }
    table.add(["messages and waiting", milliseconds(messageSeconds) + " per token"])
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
        node.ledgerBytes.map { Quantity.describe(bytes: $0) } ?? "",
      ])
    }
    let predicted = Double(plan.prediction.tokenNanoseconds) * 1e-9
    return table.rendered() + "\n" + stages.rendered() + "\n"
      + "token: measured \(milliseconds(speed.tokenSeconds)), "
      + "predicted for the planned machines \(milliseconds(predicted))\n"
  }

  private func milliseconds(_ seconds: Double) -> String {
    "\(Quantity.fixed(seconds * 1e3, digits: 3)) ms"
  }
}
