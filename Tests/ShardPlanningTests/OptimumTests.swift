import ShardPlanning
import TestSupport
import Testing

@Suite("The search against brute force")
struct OptimumTests {
  /// Compares optimum and tie rules on one random case; says whether anything fitted.
  private func compare(
    seed: UInt64, nodes: ClosedRange<Int>, layers: ClosedRange<Int>, accelerators: Bool,
    _ objective: PlanObjective
  ) throws -> Bool {
    var generator = SeededGenerator(seed: seed)
    let nodeCount = Int.random(in: nodes, using: &generator)
    let fewest = max(nodeCount, layers.lowerBound)
    let layerCount = Int.random(in: fewest...layers.upperBound, using: &generator)
    let model = SyntheticModel.random(
      layerCount: layerCount, unequal: Bool.random(using: &generator), using: &generator)
    let cluster = try Cluster.random(
      nodes: nodeCount, memory: 300...3000,
      allTakePart: Int.random(in: 0..<4, using: &generator) == 0, using: &generator)
    let settings = PlanSettings(context: 1024, prefillChunk: 128)
    let footprint = model.footprint(for: settings)
    let workload = Workload(
      promptTokens: Int.random(in: 1...700, using: &generator),
      generateTokens: Int.random(in: 1...300, using: &generator))
    let costs = CostModel(footprint: footprint, cluster: cluster, workload: workload)
    let places: [HeadPlace] = Bool.random(using: &generator) ? [.lastNode] : HeadPlace.allCases
    let search = PlanSearch(
      tables: SearchTables(footprint: footprint, cluster: cluster, costs: costs),
      headPlaces: places, usesAccelerators: accelerators)
    let brute = BruteForce(
      footprint: footprint, cluster: cluster, costs: costs, headPlaces: places,
      usesAccelerators: accelerators, objective: objective)
    let expected = brute.expected()
    let found = search.choose(objective)
    try #require((found == nil) == (expected == nil), "seed \(seed), \(objective)")
    guard let found, let expected else { return false }
    #expect(found.optimum == expected.optimum, "seed \(seed), \(objective)")
    #expect(found.stages.count == expected.nodes, "seed \(seed), \(objective): nodes")
    if objective == .throughput {
      #expect(
        brute.value(found.stages) <= expected.optimum * 1.02, "seed \(seed): value")
    } else {
      #expect(
        brute.value(found.stages) == expected.value, "seed \(seed), \(objective): value")
    }
    return true
  }

  @Test("2,000 random clusters of up to 5 nodes and 12 layers", arguments: PlanObjective.allCases)
  func matchesBruteForce(objective: PlanObjective) throws {
    var fitted = 0
    for seed in 1...2000 {
      // All sizes, every tenth case at full size.
      let isLarge = seed % 10 == 0
      let fits = try compare(
        seed: UInt64(seed), nodes: isLarge ? 5...5 : 1...5, layers: isLarge ? 12...12 : 1...12,
        accelerators: false, objective)
      if fits { fitted += 1 }
    }
    #expect(fitted > 800 && fitted < 2000, "\(fitted) cases fitted")
  }

  @Test("layers in graphics memory", arguments: PlanObjective.allCases)
  func matchesBruteForceWithAccelerators(objective: PlanObjective) throws {
    var fitted = 0
    for seed in 1...300 {
      let fits = try compare(
        seed: UInt64(seed) + 10_000, nodes: 1...3, layers: 1...6, accelerators: true, objective)
      if fits { fitted += 1 }
    }
    #expect(fitted > 100, "\(fitted) cases fitted")
  }
}
