import CommandLineSupport
import ShardPlanning
import TensorCore

/// A plan for people.
enum PlanText {
  static func render(_ report: PlanReport) -> String {
    let plan = report.plan
    let prediction = plan.prediction
    let workload = prediction.workload
    var text = heading(plan) + "\n\n" + table(plan).rendered() + "\n"
    text +=
      "predicted: \(rate(prediction)) (\(milliseconds(prediction.tokenNanoseconds)) ms a "
      + "token), first token \(seconds(prediction.firstTokenNanoseconds)) after a prompt of "
      + "\(Quantity.count(workload.promptTokens, "token"))\n"
    if plan.sequences > 1 {
      let perSequence = Double(plan.sequences) * prediction.tokensPerSecond
      let total = min(perSequence, 1e9 / Double(max(1, prediction.bottleneckNanoseconds)))
      text +=
        "  \(plan.sequences) sequences at once: \(Quantity.fixed(total, digits: 1)) tokens/s "
        + "together\n"
    }
    text += comparison(report)
    text += context(report)
    for node in report.replan?.nodes ?? [] {
      text +=
        node.missing.isEmpty
        ? "\(node.name) has all it needs\n"
        : "\(node.name) has to get \(node.missing.map(\.name).joined(separator: ", ")): about "
          + "\(size(node.bytes))\n"
    }
    for sentence in report.advice { text += "note: \(sentence)\n" }
    return text
  }

  private static func heading(_ plan: ShardPlan) -> String {
    return "\(plan.facts.family), \(Quantity.count(plan.facts.layerCount, "layer")) on "
      + "\(Quantity.count(plan.nodes.count, "node")); context \(plan.context), "
      + "\(Quantity.count(plan.sequences, "sequence")), prompts in chunks of "
      + "\(plan.prefillChunk), \(Quantity.count(plan.settings.threads, "thread")); best "
      + "\(plan.objective.rawValue)"
  }

  private static func table(_ plan: ShardPlan) -> TextTable {
    var table = TextTable([
      ("node", .left), ("layers", .left), ("holds", .left), ("weights", .right),
      ("KV cache", .right), ("activations", .right), ("process", .right), ("total", .right),
      ("reserve", .right), ("memory", .right), ("headroom", .right), ("ms/token", .right),
    ])
    for node in plan.nodes {
      let ledger = node.ledger
      let last = node.layers.upperBound - 1
      let layers =
        node.layers.count == 1
        ? "1 (\(last))" : "\(node.layers.count) (\(node.layers.lowerBound)-\(last))"
      let holds =
        (node.holdsEmbedding ? ["embedding"] : []) + (node.holdsHead ? ["head"] : [])
      table.add([
        node.name, layers, holds.joined(separator: "+"),
        size(ledger[.weights] + ledger[.embedding] + ledger[.head]), size(ledger[.keyValueCache]),
        size(ledger[.activations]),
        size(ledger[.tokenizer] + ledger[.loading] + ledger[.runtime]),
        size(ledger.total), size(ledger.reserveBytes), size(ledger.ramBytes),
        size(ledger.headroom), milliseconds(node.predicted.decodeNanoseconds),
      ])
    }
    return table
  }

  private static func comparison(_ report: PlanReport) -> String {
    var text = ""
    let shown = report.alternatives.filter {
      $0.split != report.plan.split || $0.nodes != report.plan.nodeNames
    }
    for alternative in shown {
      let split = alternative.split.map(String.init).joined(separator: ",")
      let name =
        switch alternative.kind {
        case .oneNode: "one node alone"
        case .evenSplit: "even split \(split)"
        case .memoryProportional: "split by memory \(split)"
        }
      let outcome =
        alternative.prediction.map { speed($0, alternative.stages) }
        ?? "does not fit (\(size(alternative.missingBytes)) missing)"
      text += "  \(name): \(outcome)\n"
    }
    let outcomes = report.losses.map { loss in
      loss.prediction.map { "the others still hold the model, \(rate($0))" }
        ?? "the others cannot hold the model (\(size(loss.missingBytes)) missing)"
    }
    if let first = outcomes.first, outcomes.allSatisfy({ $0 == first }) {
      text += "  without any one node: \(first)\n"
    } else {
      for (loss, outcome) in zip(report.losses, outcomes) {
        text += "  without \(loss.node): \(outcome)\n"
      }
    }
    return text
  }

  /// Such as "5.9 tokens/s, first token 4.3 s; 55.1 + 53.2 ms a token and 0.6 for messages".
  private static func speed(
    _ prediction: PlanPrediction, _ stages: [StagePrediction]
  ) -> String {
    let times = stages.map { milliseconds($0.decodeNanoseconds) }.joined(separator: " + ")
    let sent = stages.reduce(0) { $0 + $1.sendNanoseconds }
    return "\(rate(prediction)), first token \(seconds(prediction.firstTokenNanoseconds)); "
      + "\(times) ms a token" + (sent > 0 ? " and \(milliseconds(sent)) for messages" : "")
  }

  private static func context(_ report: PlanReport) -> String {
    let largest = report.largestContext
    let most = report.plan.facts.contextLength
    return largest >= most
      ? "largest context that fits: \(most), all that the model has\n"
      : "largest context that fits: \(largest) of the model's \(most)\n"
  }

  private static func size(_ bytes: Int) -> String { Quantity.describe(bytes: bytes) }

  private static func milliseconds(_ nanoseconds: Int) -> String {
    let value = Double(nanoseconds) / 1e6
    return Quantity.fixed(value, digits: value < 1 ? 3 : value < 100 ? 2 : 0)
  }

  private static func seconds(_ nanoseconds: Int) -> String {
    nanoseconds < 1_000_000_000
      ? "\(milliseconds(nanoseconds)) ms"
      : "\(Quantity.fixed(Double(nanoseconds) / 1e9, digits: 1)) s"
  }

  private static func rate(_ prediction: PlanPrediction) -> String {
    "\(Quantity.fixed(prediction.tokensPerSecond, digits: 1)) tokens/s"
  }
}
