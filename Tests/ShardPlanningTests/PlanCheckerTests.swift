import ShardPlanning
import TensorCore
import TestSupport
import Testing

/// Checks a plan from the design alone, without the planner's tables.
private func problems(
  of plan: ShardPlan, model: SyntheticModel, cluster: Cluster
) -> [String] {
  var problems: [String] = []
  var next = 0
  for (index, node) in plan.nodes.enumerated() {
    if node.layers.lowerBound != next || node.layers.isEmpty { problems.append("layers") }
    next = node.layers.upperBound
    if node.holdsEmbedding != (index == 0) { problems.append("embedding") }
    if node.holdsHead != (index == plan.nodes.count - 1) { problems.append("head") }
    guard let profile = cluster.nodes.first(where: { $0.name == node.name }) else {
      problems.append("unknown node")
      continue
    }
    var weights = 0
    var buffers = model.activationBytesPerToken * plan.prefillChunk * plan.sequences
    for layer in node.layers {
      let positions = min(plan.context, model.layers[layer].window ?? plan.context)
      weights += model.layers[layer].weightBytes
      buffers += model.layers[layer].keyValueBytes * positions * plan.sequences
    }
    if node.holdsEmbedding { weights += model.embedding.weightBytes }
    if node.holdsHead { weights += model.head.weightBytes }
    if node.holdsHead && node.holdsEmbedding { weights -= model.sharedBytes }
    if node.holdsHead { buffers += model.headActivationBytes }
    // Chunks are read into buffers before caches and activations are there.
    let bytes =
      model.runtimeBytes + (node.holdsEmbedding ? model.tokenizerBytes : 0) + weights
      + max(buffers, min(model.loadBufferBytes, 3 * weights))
    if bytes != node.ledger.total { problems.append("ledger of \(node.name)") }
    if bytes > profile.ramBytes - profile.reserveBytes { problems.append("\(node.name) overflows") }
  }
  if next != model.layers.count { problems.append("end") }
  if Set(plan.nodeNames).count != plan.nodes.count { problems.append("a node twice") }
  if cluster.allTakePart && plan.nodes.count != cluster.nodes.count { problems.append("left out") }
  return problems
}

@Suite("Plans against an independent checker")
struct PlanCheckerTests {
  struct Case {
    var model: SyntheticModel
    var cluster: Cluster
    var request: PlanRequest
  }

  static func randomCase(
    seed: UInt64, nodes: ClosedRange<Int> = 1...6, layers: ClosedRange<Int> = 6...24
  ) throws -> Case {
    var generator = SeededGenerator(seed: seed)
    let model = SyntheticModel.random(
      layerCount: Int.random(in: layers, using: &generator),
      unequal: Bool.random(using: &generator), using: &generator)
    let cluster = try Cluster.random(
      nodes: Int.random(in: nodes, using: &generator), memory: 400...6000,
      allTakePart: Bool.random(using: &generator), using: &generator)
    let settings = PlanSettings(
      context: [256, 1024, 4096].randomElement(using: &generator) ?? 256,
      sequences: Int.random(in: 1...3, using: &generator),
      prefillChunk: [1, 64, 128].randomElement(using: &generator) ?? 1)
    let objective = PlanObjective.allCases.randomElement(using: &generator) ?? .latency
    return Case(
      model: model, cluster: cluster,
      request: PlanRequest(settings: settings, objective: objective))
  }

  @Test("coverage and ledgers hold in 10,000 random clusters; else the missing bytes are exact")
  func plansHold() throws {
    var planned = 0
    var refused = 0
    for seed in UInt64(1)...10_000 {
      let test = try Self.randomCase(seed: seed)
      let planner = Planner(source: test.model, cluster: test.cluster)
      do throws(PlanFault) {
        let plan = try planner.plan(test.request)
        planned += 1
        let problems = problems(of: plan, model: test.model, cluster: test.cluster)
        #expect(problems.isEmpty, "seed \(seed): \(problems)")
      } catch {
        refused += 1
        #expect(error.code == "plan.doesNotFit", "seed \(seed): \(error.message)")
        #expect(error.exitStatus == .doesNotFit)
        try checkMissing(error, test, seed: seed)
      }
    }
    print("independent checker: \(planned) plans, \(refused) refusals")
    #expect(planned > 3000 && refused > 1000)
  }

  /// Gives every node what the worst one lacks: then, and not a byte earlier, a plan fits.
  private func checkMissing(_ fault: PlanFault, _ test: Case, seed: UInt64) throws {
    let missing = try #require(fault.context["missing_bytes"].flatMap { Int($0) })
    let total = try #require(fault.context["total_missing_bytes"].flatMap { Int($0) })
    #expect(missing > 0 && total >= missing)
    func fits(_ extra: Int) throws -> Bool {
      var nodes = test.cluster.nodes
      for index in nodes.indices { nodes[index].ramBytes += extra }
      let cluster = try Cluster(nodes: nodes, allTakePart: test.cluster.allTakePart)
      var request = test.request
      request.objective = .latency
      return try Planner(source: test.model, cluster: cluster).optimum(request) != nil
    }
    #expect(try fits(missing), "seed \(seed): \(fault.message)")
    #expect(try !fits(missing - 1), "seed \(seed): \(fault.message)")
  }

  @Test("more memory, bandwidth or a further node never makes the best plan slower")
  func isMonotone() throws {
    for seed in UInt64(1)...600 {
      let test = try Self.randomCase(seed: seed + 50_000, nodes: 1...5, layers: 6...16)
      var cluster = test.cluster
      cluster.allTakePart = false
      let before = try Planner(source: test.model, cluster: cluster).optimum(test.request)
      var generator = SeededGenerator(seed: seed)
      var nodes = cluster.nodes
      let index = Int.random(in: nodes.indices, using: &generator)
      switch seed % 3 {
      case 0: nodes[index].ramBytes += Int.random(in: 1...4 << 30, using: &generator)
      case 1:
        nodes[index].compute.weightBytesPerSecond += 1_000_000_000
        nodes[index].compute.operationsPerSecond += 1_000_000_000
      default:
        var further = nodes[index]
        further.name = "further"
        nodes.append(further)
      }
      let links = cluster.nodes.indices.flatMap { source in
        cluster.nodes.indices.filter { $0 != source }.map { target in
          (
            from: cluster.nodes[source].name, to: cluster.nodes[target].name,
            link: cluster.link(from: source, to: target)
          )
        }
      }
      let better = try Cluster(nodes: nodes, links: links, allTakePart: false)
      let after = try Planner(source: test.model, cluster: better).optimum(test.request)
      if let before {
        let after = try #require(after, "seed \(seed)")
        #expect(after <= before, "seed \(seed), \(test.request.objective)")
      }
    }
  }

  @Test("the chosen plan is within 2 % of the best")
  func tiesStayWithinTwoPercent() throws {
    for seed in UInt64(1)...200 {
      let test = try Self.randomCase(seed: seed + 90_000)
      let planner = Planner(source: test.model, cluster: test.cluster)
      guard let plan = try? planner.plan(test.request) else { continue }
      let best = try #require(try planner.optimum(test.request))
      let value =
        switch test.request.objective {
        case .latency: plan.prediction.tokenNanoseconds
        case .throughput: plan.prediction.bottleneckNanoseconds
        case .request: plan.prediction.requestNanoseconds
        }
      #expect(Double(value) <= Double(best) * 1.02 + 1, "seed \(seed)")
      #expect(value >= best, "seed \(seed)")
    }
  }

  @Test("more nodes hold what one cannot, in an uneven split where the even one does not fit")
  func findsUnevenSplits() throws {
    var model = SyntheticModel(layerCount: 8, layerBytes: 100 << 20, headBytes: 300 << 20)
    for index in 0..<3 { model.layers[index].weightBytes = 400 << 20 }
    let nodes = [1000, 1400].enumerated().map { index, memory in
      NodeProfile(name: "node-\(index)", ramBytes: memory << 20, reserveBytes: 0)
    }
    let cluster = try Cluster(nodes: nodes, allTakePart: true)
    let planner = Planner(source: model, cluster: cluster)
    let request = PlanRequest(settings: PlanSettings(context: 256))
    let plan = try planner.plan(request)
    #expect(plan.split == [2, 6])
    var forced = request
    forced.split = [4, 4]
    #expect(throws: PlanFault.self) { try planner.plan(forced) }
  }
}
