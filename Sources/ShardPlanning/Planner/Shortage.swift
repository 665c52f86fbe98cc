import TensorCore

/// What is missing where a model does not fit.
struct Shortage: Sendable, Equatable {
  struct Node: Sendable, Equatable {
    let name: String
    let layers: Range<Int>
    let neededBytes: Int
    let capacity: Int

    var missingBytes: Int { max(0, neededBytes - capacity) }
  }

  let nodes: [Node]

  /// The node that lacks the most.
  var worst: Node { nodes.max { $0.missingBytes < $1.missingBytes } ?? nodes[0] }

  /// Bytes that all nodes lack together.
  var totalMissingBytes: Int { nodes.reduce(0) { $0 + $1.missingBytes } }

  /// One sentence: which node lacks how much, and what would help.
  func fault(split isForced: Bool, advice: [String]) -> PlanFault {
    let lacking = nodes.filter { $0.missingBytes > 0 }
      .sorted { $0.missingBytes > $1.missingBytes }
    let parts = lacking.prefix(3).map { node in
      let last = node.layers.upperBound - 1
      let held =
        node.layers.count == 1 ? "layer \(last)" : "layers \(node.layers.lowerBound)-\(last)"
      return "\(node.name) lacks \(Quantity.describe(bytes: node.missingBytes)) (with \(held) it "
        + "needs \(Quantity.describe(bytes: node.neededBytes)) and has "
        + "\(Quantity.describe(bytes: max(0, node.capacity))))"
    }
    var message = isForced ? "this split does not fit: " : "the model does not fit: "
    message += parts.joined(separator: ", ")
    if lacking.count > 3 { message += ", and \(lacking.count - 3) more nodes lack less" }
    message += advice.isEmpty ? "" : "; try " + advice.joined(separator: ", or ")
    return PlanFault(
      code: "plan.doesNotFit", message: message, exitStatus: .doesNotFit,
      context: [
        "node": worst.name, "missing_bytes": String(worst.missingBytes),
        "total_missing_bytes": String(totalMissingBytes),
      ])
  }
}

extension SearchTables {
  /// What given stages lack, or nil where they fit.
  func shortage(_ stages: [Stage]) -> Shortage? {
    let shortage = Shortage(
      nodes: stages.enumerated().map { index, stage in
        Shortage.Node(
          name: cluster.nodes[stage.node].name, layers: stage.layers,
          neededBytes: bytes(stage.layers, embedding: index == 0, head: stage.holdsHead),
          capacity: cluster.nodes[stage.node].capacity)
      })
    return shortage.totalMissingBytes > 0 ? shortage : nil
  }

  /// The plan that comes nearest to fitting: its fullest node lacks the least possible, and
  /// among those all nodes together lack the least possible.
  func smallestShortage() -> Shortage {
    var slowest = SubsetSearch<Bottleneck>(shortageProblem(cap: .infinity))
    let least = slowest.run().values.map(\.value).min() ?? .infinity
    var sum = SubsetSearch<Additive>(shortageProblem(cap: least))
    let found = sum.run().sorted { $0.key < $1.key }.map(\.value).min { $0.value < $1.value }
    guard var stages = found?.stages else { return Shortage(nodes: []) }
    stages[stages.count - 1].holdsHead = true
    return shortage(stages) ?? Shortage(nodes: [])
  }

  private func shortageProblem(cap: Double) -> SearchProblem {
    problem(head: .lastNode, closing: { _ in 0 }) { node, layers, embedding, head in
      let needed = bytes(layers, embedding: embedding, head: head)
      let missing = Double(max(0, needed - cluster.nodes[node].capacity))
      return missing <= cap ? missing : .infinity
    }
  }
}
