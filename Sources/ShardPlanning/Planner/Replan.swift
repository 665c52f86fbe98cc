import ModelArchitectures

/// What a change of plan makes it necessary to copy.
public struct ReplanCost: Sendable, Equatable {
  public struct Node: Sendable, Equatable {
    public let name: String
    /// Components that the node has to get.
    public let missing: [Component]
    /// About how many bytes those are.
    public let bytes: Int
  }

  /// The nodes of the new plan, in its order.
  public let nodes: [Node]

  public var totalBytes: Int { nodes.reduce(0) { $0 + $1.bytes } }

  /// Compares two plans of one model.
  ///
  /// Throws: `PlanFault` where they are plans of different models.
  public init(from old: ShardPlan, to new: ShardPlan, footprint: ModelFootprint) throws(PlanFault) {
    try old.requireSameModel(as: footprint.facts)
    nodes = new.nodes.map { node in
      let held = Set(old.nodes.first { $0.name == node.name }?.components ?? [])
      let missing = node.components.filter { !held.contains($0) }
      return Node(
        name: node.name, missing: missing,
        bytes: missing.reduce(0) { $0 + footprint.weightBytes(of: $1) })
    }
  }
}

extension ShardPlan {
  /// Refuses to compare plans of different models.
  func requireSameModel(as facts: ModelFacts) throws(PlanFault) {
    guard self.facts == facts else {
      throw PlanFault(
        code: "plan.otherModel",
        message: "the old plan is for another model: \(self.facts.family) with "
          + "\(self.facts.layerCount) layers; this one is \(facts.family) with \(facts.layerCount)",
        exitStatus: .badData)
    }
  }
}

extension ModelFootprint {
  /// Bytes of one component's weights in memory.
  func weightBytes(of component: Component) -> Int {
    switch component {
    case .embedding: embedding.weightBytes
    case .block(let layer): layers[layer].weightBytes
    case .head: head.weightBytes
    }
  }
}

/// Which parts of a model each node of a cluster holds already.
package struct Shipping: Sendable {
  private struct Node: Sendable {
    /// Bytes that the node lacks of the layers before each.
    var before: [Int]
    var embedding: Int
    var head: Int
  }

  private var nodes: [Node]
  /// MiB of the whole model: no plan ships more.
  let totalMiB: Int

  init(_ old: ShardPlan, _ cluster: Cluster, _ footprint: ModelFootprint) {
    let total = footprint.layers.indices.reduce(0) { $0 + footprint.weightBytes(of: .block($1)) }
    totalMiB = 2 + (total + footprint.embedding.weightBytes + footprint.head.weightBytes) >> 20
    nodes = cluster.nodes.map { profile in
      let held = Set(old.nodes.first { $0.name == profile.name }?.components ?? [])
      func lacking(_ component: Component) -> Int {
        held.contains(component) ? 0 : footprint.weightBytes(of: component)
      }
      var before = [0]
      for layer in footprint.layers.indices {
        before.append(before[layer] + lacking(.block(layer)))
      }
      return Node(before: before, embedding: lacking(.embedding), head: lacking(.head))
    }
  }

  func restricted(to order: [Int]) -> Shipping {
    var some = self
    some.nodes = order.map { nodes[$0] }
    return some
  }

  /// MiB that a node has to get for a stage.
  func missingMiB(_ node: Int, _ layers: Range<Int>, embedding: Bool, head: Bool) -> Int {
    let parts = nodes[node]
    let bytes =
      parts.before[layers.upperBound] - parts.before[layers.lowerBound]
      + (embedding ? parts.embedding : 0) + (head ? parts.head : 0)
    return bytes >> 20
  }
}

extension PlanSearch {
  /// Among plans as good as `found`, with a value of at most `limit`, one that ships little.
  ///
  /// What is shipped is priced so that all of it costs no more than what `found` is below the
  /// limit.
  func leastShipping(
    _ objective: PlanObjective, _ found: SearchResult, _ shipping: Shipping, limit: Double
  ) -> SearchResult {
    var rules = rules()
    let count = found.stages.count
    if objective == .throughput {
      rules.cap = limit
      rules.shippingPrice = 1e6
      return best(additive(.token, rules), count) ?? found
    }
    rules.shippingPrice = ((limit - found.value) / Double(shipping.totalMiB)).rounded(.down)
    guard rules.shippingPrice > 0 else { return found }
    guard objective == .request else { return best(additive(.token, rules), count) ?? found }
    return request(rules, count, .infinity) ?? found
  }
}
