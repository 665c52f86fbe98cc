import TensorCore

extension ShardPlan {
  /// Proves that embedding, each layer and head run exactly once and in order.
  func proveCoverage() throws(PlanFault) {
    guard !nodes.isEmpty else { throw uncovered("it has no node") }
    guard nodes.count <= Cluster.maximumNodeCount else {
      throw uncovered("it has \(nodes.count) nodes; at most \(Cluster.maximumNodeCount) can run")
    }
    var seen: Set<String> = []
    var next = 0
    for node in nodes {
      guard seen.insert(node.name).inserted else { throw uncovered("\(node.name) stands twice") }
      guard !node.layers.isEmpty else { throw uncovered("\(node.name) has no layer") }
      guard node.layers.lowerBound == next else {
        throw uncovered(
          "\(node.name) begins with layer \(node.layers.lowerBound); layer \(next) is next")
      }
      next = node.layers.upperBound
    }
    guard next == facts.layerCount else {
      throw uncovered("its layers end at \(next); the model has \(facts.layerCount)")
    }
    guard nodes.indices.filter({ nodes[$0].holdsEmbedding }) == [0] else {
      throw uncovered("exactly the first node must hold the embedding")
    }
    let heads = nodes.indices.filter { nodes[$0].holdsHead }
    guard heads == [nodes.count - 1] || heads == [0] else {
      throw uncovered("exactly one node, the last or the first, must hold the head")
    }
  }

  /// Proves that no node's process takes more than its machine has for it.
  func proveFit() throws(PlanFault) {
    for node in nodes where node.ledger.headroom < 0 {
      throw PlanFault(
        code: "plan.doesNotFit",
        message: "\(node.name) lacks \(Quantity.describe(bytes: -node.ledger.headroom)): it needs "
          + "\(Quantity.describe(bytes: node.ledger.total)) and has "
          + "\(Quantity.describe(bytes: node.ledger.capacity)); plan again with more memory",
        exitStatus: .doesNotFit,
        context: ["node": node.name, "missing_bytes": String(-node.ledger.headroom)])
    }
  }

  private func uncovered(_ reason: String) -> PlanFault {
    PlanFault(
      code: "plan.notCovered",
      message: "the plan does not cover the model: \(reason); make it again with shardtool plan",
      exitStatus: .badData)
  }
}
