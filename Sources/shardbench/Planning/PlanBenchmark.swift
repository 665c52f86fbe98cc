import ShardPlanning
import TensorCore

/// Random clusters and models of a size, and how long planning for them takes.
struct PlanBenchmark {
  var nodes: Int
  var layers: Int
  /// Whether each pair of nodes has links of its own, one for each direction.
  var ownLinks: Bool

  struct Sample {
    let objective: PlanObjective
    /// One time for each cluster.
    let seconds: [Double]
    /// Nodes that the plans take.
    let taken: [Int]
  }

  func measure(
    _ objective: PlanObjective, seeds: ClosedRange<Int>
  ) throws(PlanFault) -> Sample {
    var seconds: [Double] = []
    var taken: [Int] = []
    for seed in seeds {
      let planner = try planner(seed: seed)
      let request = PlanRequest(
        settings: PlanSettings(context: RandomModel.context), objective: objective)
      let start = ContinuousClock.now
      let plan = try planner.plan(request)
      seconds.append((ContinuousClock.now - start).seconds)
      taken.append(plan.nodes.count)
    }
    return Sample(objective: objective, seconds: seconds, taken: taken)
  }

  /// Different machines and a model of unequal layers that needs most of them.
  private func planner(seed: Int) throws(PlanFault) -> Planner {
    var random = RandomNumbers(seed: seed)
    let model = RandomModel(layers: layers, using: &random)
    let share =
      model.footprint(for: PlanSettings(context: RandomModel.context)).totalWeightBytes
      / nodes
    let profiles = (0..<nodes).map { index in
      NodeProfile(
        name: "node-\(index)",
        ramBytes: share / 100 * random.number(in: 70...160) + 3 << 30, reserveBytes: 2 << 30,
        compute: ComputeProfile(
          weightBytesPerSecond: random.number(in: 8...40) * 1_000_000_000,
          operationsPerSecond: random.number(in: 20...200) * 1_000_000_000,
          layerNanoseconds: 40_000, passNanoseconds: 60_000))
    }
    var links: [(from: String, to: String, link: LinkProfile)] = []
    for source in profiles where ownLinks {
      for target in profiles where source.name != target.name {
        let link = LinkProfile(
          roundTripNanoseconds: random.number(in: 100...9000) * 1000,
          bytesPerSecond: random.number(in: 5...120) * 1_000_000)
        links.append((source.name, target.name, link))
      }
    }
    return Planner(
      source: model, cluster: try Cluster(nodes: profiles, links: links, allTakePart: false))
  }
}

/// A model of layers that all differ.
private struct RandomModel: FootprintSource {
  static let context = 1024

  let facts: ModelFacts
  private let layers: [ComponentFootprint]
  private let head: ComponentFootprint

  init(layers count: Int, using random: inout RandomNumbers) {
    facts = ModelFacts(
      family: "random", layerCount: count, hiddenSize: 4096, vocabularySize: 32_000,
      contextLength: Self.context)
    layers = (0..<count).map { _ in
      let bytes = random.number(in: 10...400) << 20
      return ComponentFootprint(
        weightBytes: bytes, keyValueBytes: 4096 * Self.context,
        readBytes: [random.number(in: 0...1) == 0 ? "q4" : "q8": bytes],
        keyValueReadBytesPerPosition: 4096, window: random.number(in: 0...1) == 0 ? 512 : nil,
        operations: bytes * random.number(in: 1...2), operationsPerPosition: 8192)
    }
    let bytes = random.number(in: 10...700) << 20
    head = ComponentFootprint(weightBytes: bytes, readBytes: ["q8": bytes], operations: bytes)
  }

  func footprint(for settings: PlanSettings) -> ModelFootprint {
    ModelFootprint(
      facts: facts, settings: settings,
      embedding: ComponentFootprint(weightBytes: 128 << 20), layers: layers, head: head,
      sharedBytes: 0, tokenizerBytes: 1 << 20, activationBytes: 4 << 20,
      headActivationBytes: 1 << 20, loadBufferBytes: 24 << 20, runtimeBytes: 40 << 20)
  }
}

/// Random numbers that are the same wherever they are drawn.
private struct RandomNumbers {
  private var state: UInt64

  init(seed: Int) { state = UInt64(truncatingIfNeeded: seed) }

  mutating func number(in range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(SplitMix.next(&state) % UInt64(range.count))
  }
}
