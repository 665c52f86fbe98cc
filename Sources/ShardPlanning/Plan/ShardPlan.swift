import TensorCore

/// Parts of a model beside its blocks.
public enum NodeRole: String, Sendable, CaseIterable {
  case embedding
  case head
}

/// How long one stage takes, as predicted.
public struct StagePrediction: Sendable, Equatable {
  /// One token through this node's layers (and head), while text is generated.
  public let decodeNanoseconds: Int
  /// A whole prefill chunk through this node's layers, while the prompt is read.
  public let prefillNanoseconds: Int
  /// One token's message to the next node, or the token back to the coordinator.
  public let sendNanoseconds: Int

  public init(decodeNanoseconds: Int, prefillNanoseconds: Int, sendNanoseconds: Int) {
    self.decodeNanoseconds = decodeNanoseconds
    self.prefillNanoseconds = prefillNanoseconds
    self.sendNanoseconds = sendNanoseconds
  }
}

/// One node of a plan: what it holds, what that takes, how fast it will be.
public struct PlannedNode: Sendable, Equatable {
  public let name: String
  public let layers: Range<Int>
  public let holdsEmbedding: Bool
  public let holdsHead: Bool
  public let ledger: MemoryLedger
  public let predicted: StagePrediction

  public init(
    name: String, layers: Range<Int>, holdsEmbedding: Bool, holdsHead: Bool,
    ledger: MemoryLedger, predicted: StagePrediction
  ) {
    self.name = name
    self.layers = layers
    self.holdsEmbedding = holdsEmbedding
    self.holdsHead = holdsHead
    self.ledger = ledger
    self.predicted = predicted
  }
}

/// The request that predictions are made for.
public struct Workload: Sendable, Equatable {
  public var promptTokens: Int
  public var generateTokens: Int

  public init(promptTokens: Int, generateTokens: Int) {
    self.promptTokens = promptTokens
    self.generateTokens = generateTokens
  }

  /// 512 tokens of prompt and 256 of answer, or half and a quarter of a smaller context.
  public static func standard(context: Int) -> Workload {
    Workload(
      promptTokens: max(1, min(512, context / 2)), generateTokens: max(1, min(256, context / 4)))
  }

  /// Tokens in the cache when the middle token of the answer is decoded.
  var meanPosition: Int { promptTokens + generateTokens / 2 }
}

/// How fast a plan is predicted to be.
public struct PlanPrediction: Sendable, Equatable {
  public let workload: Workload
  /// From one generated token to the next, for one sequence.
  public let tokenNanoseconds: Int
  /// From the prompt to the first token of the answer.
  public let firstTokenNanoseconds: Int
  /// The slowest stage or link for one token: what bounds many sequences at once.
  public let bottleneckNanoseconds: Int

  public init(
    workload: Workload, tokenNanoseconds: Int, firstTokenNanoseconds: Int,
    bottleneckNanoseconds: Int
  ) {
    self.workload = workload
    self.tokenNanoseconds = tokenNanoseconds
    self.firstTokenNanoseconds = firstTokenNanoseconds
    self.bottleneckNanoseconds = bottleneckNanoseconds
  }

  /// Prompt and answer together.
  public var requestNanoseconds: Int {
    firstTokenNanoseconds + (workload.generateTokens - 1) * tokenNanoseconds
  }

  public var tokensPerSecond: Double { 1e9 / Double(max(1, tokenNanoseconds)) }
}

/// What a plan is best at.
public enum PlanObjective: String, Sendable, CaseIterable {
  /// Time from token to token for one sequence.
  case latency
  /// Tokens per second of many sequences at once.
  case throughput
  /// Time of one whole request: prompt and answer.
  case request
}

/// Which node runs which layers, and what that takes: the only place where layer boundaries
/// are kept.
///
/// A value of this type is covered: embedding, every layer and head are held exactly once, in
/// the order in which they run, and every node's ledger fits.
public struct ShardPlan: Sendable, Equatable {
  public let facts: ModelFacts
  public let settings: PlanSettings
  public let objective: PlanObjective
  /// In the order of the ring; the first is the coordinator.
  public let nodes: [PlannedNode]
  public let prediction: PlanPrediction

  /// Throws: `PlanFault` where the parts do not make a whole model, or do not fit.
  public init(
    facts: ModelFacts, settings: PlanSettings, objective: PlanObjective, nodes: [PlannedNode],
    prediction: PlanPrediction
  ) throws(PlanFault) {
    self.facts = facts
    self.settings = settings
    self.objective = objective
    self.nodes = nodes
    self.prediction = prediction
    try proveCoverage()
    try proveFit()
  }

  public var nodeNames: [String] { nodes.map(\.name) }

  /// The node of that name.
  ///
  /// Throws: `PlanFault` that lists the names there are.
  public func node(named name: String) throws(PlanFault) -> PlannedNode {
    guard let node = nodes.first(where: { $0.name == name }) else {
      throw PlanFault(
        code: "plan.unknownNode",
        message: "the plan has no node \(name); it has \(nodeNames.joined(separator: ", "))",
        exitStatus: .usage, context: ["node": name])
    }
    return node
  }

  /// Layers of each node, as `--split` writes them.
  public var split: [Int] { nodes.map(\.layers.count) }
}
