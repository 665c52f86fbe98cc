import TensorCore

/// What is asked of a planner.
public struct PlanRequest: Sendable, Equatable {
  public var settings: PlanSettings
  public var objective: PlanObjective
  public var workload: Workload
  /// Layers per node, in the cluster's order, where the user decides them.
  public var split: [Int]?
  /// The plan in use: among equally fast ones, a plan that ships little is taken.
  public var previous: ShardPlan?

  public init(
    settings: PlanSettings, objective: PlanObjective = .latency, workload: Workload? = nil,
    split: [Int]? = nil, previous: ShardPlan? = nil
  ) {
    self.settings = settings
    self.objective = objective
    self.workload = workload ?? .standard(context: settings.context)
    self.split = split
    self.previous = previous
  }
}

/// Decides which nodes run which layers: the best way there is under the cost model.
public struct Planner: Sendable {
  public let source: any FootprintSource
  public let cluster: Cluster

  public init(source: any FootprintSource, cluster: Cluster) {
    self.source = source
    self.cluster = cluster
  }

  /// Most layers of a model that a plan can be made for.
  public static let maximumLayerCount = 512

  /// Makes the best plan for a request, or the one that its split asks for.
  ///
  /// Complexity: below a second for 16 nodes and 80 unequal layers.
  /// Throws: `PlanFault` for a request that makes no sense, or that does not fit.
  public func plan(_ request: PlanRequest) throws(PlanFault) -> ShardPlan {
    try check(request)
    let tables = tables(for: request)
    let stages: [Stage]
    if let split = request.split {
      stages = Self.stages(split)
      if let shortage = tables.shortage(stages) {
        throw shortage.fault(split: true, advice: advice(request, shortage))
      }
    } else if let choice = PlanSearch(tables: tables).choose(request.objective) {
      stages = choice.stages
    } else {
      let shortage = tables.smallestShortage()
      throw shortage.fault(split: false, advice: advice(request, shortage))
    }
    return try makePlan(stages, request, tables)
  }

  /// The smallest value of the objective that any plan has, in nanoseconds; nil where none fits.
  ///
  /// `plan` may take another plan within 2 % of it that needs fewer nodes or leaves more memory.
  public func optimum(_ request: PlanRequest) throws(PlanFault) -> Int? {
    try check(request)
    let search = PlanSearch(tables: tables(for: request))
    return search.optimum(request.objective, rules: search.rules()).map { Int($0.value) }
  }

  func tables(for request: PlanRequest) -> SearchTables {
    let footprint = source.footprint(for: request.settings)
    return SearchTables(
      footprint: footprint, cluster: cluster,
      costs: CostModel(footprint: footprint, cluster: cluster, workload: request.workload),
      shipping: request.previous.map { Shipping($0, cluster, footprint) })
  }

  /// Whether any plan fits at all.
  func fits(_ request: PlanRequest) -> Bool {
    let search = PlanSearch(tables: tables(for: request))
    return search.optimum(.latency, rules: search.rules()) != nil
  }

  /// Stages in the cluster's order with so many layers each.
  static func stages(_ split: [Int]) -> [Stage] {
    var stages: [Stage] = []
    var next = 0
    for (index, size) in split.enumerated() {
      let isLast = index == split.count - 1
      stages.append(Stage(node: index, layers: next..<(next + size), holdsHead: isLast))
      next += size
    }
    return stages
  }

  func makePlan(
    _ stages: [Stage], _ request: PlanRequest, _ tables: SearchTables
  ) throws(PlanFault) -> ShardPlan {
    let predictions = tables.costs.stagePredictions(stages)
    var nodes: [PlannedNode] = []
    for (index, stage) in stages.enumerated() {
      let profile = cluster.nodes[stage.node]
      nodes.append(
        PlannedNode(
          name: profile.name, layers: stage.layers, holdsEmbedding: index == 0,
          holdsHead: stage.holdsHead,
          ledger: tables.footprint.ledger(
            layers: stage.layers, holdsEmbedding: index == 0, holdsHead: stage.holdsHead,
            ramBytes: profile.ramBytes, reserveBytes: profile.reserveBytes),
          predicted: predictions[index]))
    }
    return try ShardPlan(
      facts: tables.footprint.facts, settings: request.settings, objective: request.objective,
      nodes: nodes, prediction: tables.costs.prediction(stages))
  }
}

extension CostModel {
  /// How fast these stages are.
  func prediction(_ stages: [Stage]) -> PlanPrediction {
    PlanPrediction(
      workload: workload, tokenNanoseconds: Int(tokenNanoseconds(stages)),
      firstTokenNanoseconds: Int(firstTokenNanoseconds(stages)),
      bottleneckNanoseconds: Int(bottleneckNanoseconds(stages)))
  }

  /// How long each of them takes.
  func stagePredictions(_ stages: [Stage]) -> [StagePrediction] {
    stages.enumerated().map { index, stage in
      StagePrediction(
        decodeNanoseconds: Int(decode(stage)), prefillNanoseconds: Int(prefill(stage)),
        sendNanoseconds: Int(sendNanoseconds(stages, from: index)))
    }
  }
}

// MARK: - Requests that make no sense

extension Planner {
  func check(_ request: PlanRequest) throws(PlanFault) {
    let settings = request.settings
    let facts = source.facts
    guard settings.context > 0, settings.context <= facts.contextLength,
      settings.context <= PlanSettings.maximumContext
    else {
      throw PlanFault.usage(
        "badContext",
        "a context of \(settings.context) is not possible; the model takes 1 to "
          + "\(min(facts.contextLength, PlanSettings.maximumContext)) positions")
    }
    let limits = [
      ("sequences", settings.sequences, PlanSettings.maximumSequences),
      ("prefill chunk", settings.prefillChunk, PlanSettings.maximumPrefillChunk),
      ("threads", settings.threads, PlanSettings.maximumThreads),
    ]
    for (name, value, limit) in limits where !(1...limit).contains(value) {
      throw PlanFault.usage("badSettings", "\(name) \(value) is not possible; give 1 to \(limit)")
    }
    try check(request.workload, context: settings.context)
    guard facts.layerCount <= Self.maximumLayerCount else {
      throw PlanFault.usage(
        "tooManyLayers",
        "the model has \(Quantity.count(facts.layerCount, "layer")); at most "
          + "\(Self.maximumLayerCount) can be planned")
    }
    let count = cluster.nodes.count
    if cluster.allTakePart || request.split != nil, count > facts.layerCount {
      throw PlanFault.usage(
        "moreNodesThanLayers",
        "\(count) nodes cannot share \(Quantity.count(facts.layerCount, "layer")); give at "
          + "most \(Quantity.count(facts.layerCount, "node"))")
    }
    if let split = request.split { try check(split) }
    try request.previous?.requireSameModel(as: facts)
  }

  private func check(_ workload: Workload, context: Int) throws(PlanFault) {
    let (prompt, answer) = (workload.promptTokens, workload.generateTokens)
    guard prompt > 0, answer > 0, prompt <= context, answer <= context,
      prompt + answer <= context + 1
    else {
      let most = min(source.facts.contextLength, PlanSettings.maximumContext)
      let isPossible = (1...most).contains(prompt) && (1...most).contains(answer)
      let needed = isPossible ? max(prompt, answer, prompt + answer - 1) : 0
      let advice =
        isPossible && needed <= most
        ? "fewer of them or --context \(needed)" : "1 or more of each, \(most + 1) at most in all"
      throw PlanFault.usage(
        "badWorkload",
        "\(Quantity.count(prompt, "prompt token")) and \(answer) generated are not possible in a "
          + "context of \(context); give \(advice)")
    }
  }

  private func check(_ split: [Int]) throws(PlanFault) {
    let text = split.prefix(20).map(String.init).joined(separator: ",")
    guard split.count == cluster.nodes.count else {
      throw PlanFault.usage(
        "badSplit",
        "the split \(text) names \(Quantity.count(split.count, "node")); the cluster has "
          + "\(cluster.nodes.count)")
    }
    guard split.allSatisfy({ (1...source.facts.layerCount).contains($0) }) else {
      throw PlanFault.usage("badSplit", "the split \(text) must give each node 1 layer or more")
    }
    let sum = split.reduce(0, +)
    guard sum == source.facts.layerCount else {
      throw PlanFault.usage(
        "badSplit",
        "the split \(text) has \(Quantity.count(sum, "layer")); the model has "
          + "\(source.facts.layerCount)"
      )
    }
  }
}
