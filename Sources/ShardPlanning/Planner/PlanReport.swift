import StrictJSON
import TensorCore

/// A plan, and what a user needs to decide whether to take it.
public struct PlanReport: Sendable {
  /// Another way to place the model, under the same cost model.
  public struct Alternative: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
      /// The coordinator alone.
      case oneNode = "one_node"
      case evenSplit = "even_split"
      /// Layers in proportion to the memory that processes may take.
      case memoryProportional = "memory_proportional"
    }

    public let kind: Kind
    /// Names of the nodes, in the order of the ring.
    public let nodes: [String]
    /// Layers of each node.
    public let split: [Int]
    /// How long each stage takes; empty where it does not fit.
    public let stages: [StagePrediction]
    /// How fast it would be; nil where it does not fit.
    public let prediction: PlanPrediction?
    /// What the node that lacks the most lacks; 0 where it fits.
    public let missingBytes: Int
  }

  /// What is left when one node is lost.
  public struct Loss: Sendable, Equatable {
    public let node: String
    /// How fast the best plan of the others is; nil where none fits.
    public let prediction: PlanPrediction?
    public let missingBytes: Int
  }

  public let plan: ShardPlan
  /// Nodes of the cluster that the plan does without.
  public let leftOut: [String]
  public let alternatives: [Alternative]
  public let losses: [Loss]
  /// What the nodes have to get that the plan in use does not give them; nil without one.
  public let replan: ReplanCost?
  /// The largest context, at most the model's, at which the model still fits on these nodes.
  public let largestContext: Int
  /// Sentences.
  public let advice: [String]

  public static let schema = "shardtool.plan-report/1"

  public var json: JSONValue {
    var object = summary
    if let replan {
      object["replan"] = .array(
        replan.nodes.map { node in
          [
            "node": .string(node.name),
            "missing": .array(node.missing.map { .string($0.name) }),
            "bytes": JSONValue(node.bytes),
          ]
        })
    }
    return .object(object)
  }

  private var summary: JSONObject {
    [
      "schema": .string(Self.schema),
      "plan": plan.json,
      "predicted_tokens_per_second": .double(plan.prediction.roundedTokensPerSecond),
      "left_out": .array(leftOut.map { .string($0) }),
      "alternatives": .array(
        alternatives.map { alternative in
          var object: JSONObject = [
            "kind": .string(alternative.kind.rawValue),
            "nodes": .array(alternative.nodes.map { .string($0) }),
            "split": .array(alternative.split.map { JSONValue($0) }),
            "stages": .array(alternative.stages.map { .object($0.json) }),
          ]
          Self.describe(alternative.prediction, alternative.missingBytes, in: &object)
          return .object(object)
        }),
      "losses": .array(
        losses.map { loss in
          var object: JSONObject = ["node": .string(loss.node)]
          Self.describe(loss.prediction, loss.missingBytes, in: &object)
          return .object(object)
        }),
      "largest_context": JSONValue(largestContext),
      "advice": .array(advice.map { .string($0) }),
    ]
  }

  private static func describe(
    _ prediction: PlanPrediction?, _ missing: Int, in object: inout JSONObject
  ) {
    object["fits"] = .bool(prediction != nil)
    if let prediction {
      object["token_nanoseconds"] = JSONValue(prediction.tokenNanoseconds)
      object["first_token_nanoseconds"] = JSONValue(prediction.firstTokenNanoseconds)
    } else {
      object["missing_bytes"] = JSONValue(missing)
    }
  }
}

extension PlanPrediction {
  /// Tokens per second to three digits behind the point.
  var roundedTokensPerSecond: Double { (tokensPerSecond * 1000).rounded() / 1000 }
}

extension Planner {
  /// Makes a plan and weighs it against the other ways.
  public func report(_ request: PlanRequest) throws(PlanFault) -> PlanReport {
    let plan = try plan(request)
    let names = Set(plan.nodeNames)
    let leftOut = cluster.nodes.map(\.name).filter { !names.contains($0) }
    let alternatives = alternatives(request)
    let largest = largestContext(request) ?? request.settings.context
    var advice = speedAdvice(plan, request, alternatives)
    if !leftOut.isEmpty {
      let verb = leftOut.count == 1 ? "is" : "are"
      advice.append(
        "\(leftOut.joined(separator: ", ")) \(verb) left out: without, the plan is as fast or "
          + "faster")
    }
    if cluster.nodes.contains(where: { $0.vramBytes > 0 }) {
      advice.append(
        "graphics memory stays unused: this version computes on the processor, so all layers "
          + "lie in main memory")
    }
    return PlanReport(
      plan: plan, leftOut: leftOut, alternatives: alternatives, losses: losses(request),
      replan: try replan(plan, request),
      largestContext: max(largest, request.settings.context), advice: advice)
  }

  private func replan(
    _ plan: ShardPlan, _ request: PlanRequest
  ) throws(PlanFault) -> ReplanCost? {
    guard let old = request.previous else { return nil }
    return try ReplanCost(
      from: old, to: plan, footprint: source.footprint(for: request.settings))
  }

  private func alternatives(_ request: PlanRequest) -> [PlanReport.Alternative] {
    let tables = tables(for: request)
    let layerCount = source.facts.layerCount
    let count = min(cluster.nodes.count, layerCount)
    let memory = cluster.nodes.prefix(count).map(\.capacity)
    var ways: [(PlanReport.Alternative.Kind, [Int])] = [(.oneNode, [layerCount])]
    if count > 1 {
      ways.append((.evenSplit, Apportionment.even(layerCount, parts: count)))
      ways.append((.memoryProportional, Apportionment.proportional(layerCount, to: memory)))
    }
    return ways.map { kind, split in
      let stages = Self.stages(split)
      let shortage = tables.shortage(stages)
      return PlanReport.Alternative(
        kind: kind, nodes: cluster.nodes.prefix(split.count).map(\.name), split: split,
        stages: shortage == nil ? tables.costs.stagePredictions(stages) : [],
        prediction: shortage == nil ? tables.costs.prediction(stages) : nil,
        missingBytes: shortage?.worst.missingBytes ?? 0)
    }
  }

  /// The best plan without each of the nodes.
  private func losses(_ request: PlanRequest) -> [PlanReport.Loss] {
    guard cluster.nodes.count > 1 else { return [] }
    return cluster.nodes.indices.map { lost in
      var remaining = cluster.restricted(to: cluster.nodes.indices.filter { $0 != lost })
      remaining.allTakePart = false
      let tables = Planner(source: source, cluster: remaining).tables(for: request)
      let search = PlanSearch(tables: tables)
      let found = search.optimum(.latency, rules: search.rules())
      return PlanReport.Loss(
        node: cluster.nodes[lost].name,
        prediction: found.map { tables.costs.prediction($0.stages) },
        missingBytes: found == nil ? tables.smallestShortage().worst.missingBytes : 0)
    }
  }

  /// Whether fewer nodes would do better, in a sentence.
  private func speedAdvice(
    _ plan: ShardPlan, _ request: PlanRequest, _ alternatives: [PlanReport.Alternative]
  ) -> [String] {
    guard plan.nodes.count > 1 else { return [] }
    func rate(_ prediction: PlanPrediction) -> String {
      "\(Quantity.fixed(prediction.tokensPerSecond, digits: 1)) tokens/s"
    }
    let ours = plan.prediction
    var free = cluster
    free.allTakePart = false
    let tables = Planner(source: source, cluster: free).tables(for: request)
    guard let choice = PlanSearch(tables: tables).choose(.latency) else { return [] }
    let best = tables.costs.prediction(choice.stages)
    var advice: [String] = []
    if let alone = alternatives.first(where: { $0.kind == .oneNode }), alone.prediction == nil {
      advice.append(
        "\(cluster.nodes[0].name) alone cannot hold the model: it lacks "
          + Quantity.describe(bytes: alone.missingBytes))
    }
    if let alone = alternatives.first(where: { $0.kind == .oneNode })?.prediction,
      Double(alone.tokenNanoseconds) > PlanSearch.tie * Double(ours.tokenNanoseconds)
    {
      advice.append(
        "\(plan.nodes.count) nodes are faster than \(cluster.nodes[0].name) alone: "
          + "\(rate(ours)) against \(rate(alone))")
    }
    if choice.stages.count < plan.nodes.count {
      let names = choice.stages.map { cluster.nodes[$0.node].name }
      let who =
        names.count == 1
        ? "\(names[0]) alone is"
        : "\(names.dropLast().joined(separator: ", ")) and \(names[names.count - 1]) alone are"
      let isFaster = Double(ours.tokenNanoseconds) > PlanSearch.tie * Double(best.tokenNanoseconds)
      let verdict =
        isFaster ? "faster (\(rate(best)) against \(rate(ours)))" : "as fast (\(rate(best)))"
      advice.append(
        "for one sequence \(who) \(verdict); more nodes give memory, and speed only to several "
          + "sequences at once")
    }
    return advice
  }
}

/// Layers in whole numbers.
enum Apportionment {
  static func even(_ total: Int, parts: Int) -> [Int] {
    (0..<parts).map { total * ($0 + 1) / parts - total * $0 / parts }
  }

  /// Shares in proportion to weights, by largest remainder, at least 1 each.
  static func proportional(_ total: Int, to weights: [Int]) -> [Int] {
    let spare = total - weights.count
    let sum = max(1.0, weights.reduce(0.0) { $0 + Double(max(0, $1)) })
    let exact = weights.map { Double(spare) * Double(max(0, $0)) / sum }
    var shares = exact.map { Int($0) }
    let left = spare - shares.reduce(0, +)
    let byRemainder = exact.indices.sorted { left, right in
      let (l, r) = (exact[left] - Double(shares[left]), exact[right] - Double(shares[right]))
      return l == r ? left < right : l > r
    }
    for index in 0..<max(0, left) { shares[byRemainder[index % byRemainder.count]] += 1 }
    return shares.map { $0 + 1 }
  }
}
