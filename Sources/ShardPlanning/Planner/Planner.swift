import TensorCore

/// What is asked of a planner.
public struct PlanRequest: Sendable, Equatable {
  public var settings: PlanSettings
  public var objective: PlanObjective
  public var workload: Workload
  /// Layers per node, in the cluster's order, where the user decides them.
  public var split: [Int]?

  public init(
    settings: PlanSettings, objective: PlanObjective = .latency, workload: Workload? = nil,
    split: [Int]? = nil
  ) {
    self.settings = settings
    self.objective = objective
    self.workload = workload ?? .standard(context: settings.context)
    self.split = split
  }
}

/// Decides which node runs which layers.
public struct Planner: Sendable {
  public let source: any FootprintSource
  public let cluster: Cluster

  public init(source: any FootprintSource, cluster: Cluster) {
    self.source = source
    self.cluster = cluster
  }

  /// Makes the best plan for a request.
  ///
  /// Throws: `PlanFault` for a request that makes no sense, or that does not fit.
  public func plan(_ request: PlanRequest) throws(PlanFault) -> ShardPlan {
    let footprint = source.footprint(for: request.settings)
    let costs = CostModel(footprint: footprint, cluster: cluster, workload: request.workload)
    let stages = try stages(request, footprint)
    return try makePlan(stages, request, footprint, costs)
  }

  func makePlan(
    _ stages: [Stage], _ request: PlanRequest, _ footprint: ModelFootprint, _ costs: CostModel
  ) throws(PlanFault) -> ShardPlan {
    var nodes: [PlannedNode] = []
    for (index, stage) in stages.enumerated() {
      let profile = cluster.nodes[stage.node]
      let decode = costs.decode(stage)
      nodes.append(
        PlannedNode(
          name: profile.name, layers: stage.layers, holdsEmbedding: index == 0,
          holdsHead: stage.holdsHead,
          ledger: footprint.ledger(
            layers: stage.layers, holdsEmbedding: index == 0, holdsHead: stage.holdsHead,
            ramBytes: profile.ramBytes, reserveBytes: profile.reserveBytes),
          predicted: StagePrediction(
            decodeNanoseconds: Int(decode),
            prefillNanoseconds: Int(costs.prefill(stage)),
            sendNanoseconds: Int(costs.sendNanoseconds(stages, from: index)))))
    }
    return try ShardPlan(
      facts: footprint.facts, settings: request.settings, objective: request.objective,
      nodes: nodes,
      prediction: PlanPrediction(
        workload: request.workload,
        tokenNanoseconds: Int(costs.tokenNanoseconds(stages)),
        firstTokenNanoseconds: Int(costs.firstTokenNanoseconds(stages)),
        bottleneckNanoseconds: Int(costs.bottleneckNanoseconds(stages))))
  }

  /// Stages in the cluster's order; a forced split as it is, else the most even ledgers.
  private func stages(
    _ request: PlanRequest, _ footprint: ModelFootprint
  ) throws(PlanFault) -> [Stage] {
    let layerCount = footprint.facts.layerCount
    let count = cluster.nodes.count
    guard count <= layerCount else {
      throw PlanFault.usage(
        "moreNodesThanLayers",
        "\(count) nodes cannot share \(layerCount) layers; give at most \(layerCount) nodes")
    }
    var split = request.split ?? []
    if request.split == nil {
      for index in 0..<count {
        split.append(layerCount * (index + 1) / count - layerCount * index / count)
      }
    }
    guard split.count == count, split.allSatisfy({ $0 > 0 }), split.reduce(0, +) == layerCount
    else {
      throw PlanFault.usage(
        "badSplit", "the split \(split.map(String.init).joined(separator: ",")) does not give "
          + "\(layerCount) layers to \(count) nodes, at least one each")
    }
    var stages: [Stage] = []
    var next = 0
    for (index, size) in split.enumerated() {
      stages.append(
        Stage(node: index, layers: next..<(next + size), holdsHead: index == count - 1))
      next += size
    }
    return stages
  }
}
