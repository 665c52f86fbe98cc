import ShardPlanning
import TensorCore
import TestSupport
import Testing

/// Rules by which other tools place layers, as their sources and documents describe them.
enum PeerRule: String, CaseIterable {
  /// exo: the fewest nodes whose memory holds the weights, layers in proportion to memory.
  case exo
  /// llama.cpp: all nodes, layers in proportion to free memory.
  case llamaCpp = "llama.cpp"
  /// mlx-lm and others: all nodes, as many layers each.
  case even
  /// accelerate, balanced: one node after the other is filled up to an even share and a little.
  case accelerate

  /// Nodes in the order of the ring, with their layers.
  func place(_ footprint: ModelFootprint, _ cluster: Cluster) -> [(node: Int, layers: Int)] {
    let count = footprint.layers.count
    let memory = cluster.nodes.map(\.capacity)
    switch self {
    case .even:
      let nodes = memory.count
      return memory.indices.map { ($0, count * ($0 + 1) / nodes - count * $0 / nodes) }
    case .llamaCpp:
      return Array(zip(memory.indices, Self.shares(count, memory)))
    case .exo:
      let others = memory.indices.dropFirst().sorted { memory[$0] > memory[$1] }
      var chosen = [0]
      for node in others where chosen.map({ memory[$0] }).reduce(0, +) < footprint.totalWeightBytes
      {
        chosen.append(node)
      }
      return Array(zip(chosen, Self.shares(count, chosen.map { memory[$0] })))
    case .accelerate:
      var placed: [(node: Int, layers: Int)] = []
      var next = 0
      let largest = footprint.layers.map(\.weightBytes).max() ?? 0
      let share = footprint.totalWeightBytes / memory.count + largest * 5 / 4
      for node in memory.indices where next < count {
        var room = min(memory[node], share) - (node == 0 ? footprint.embedding.weightBytes : 0)
        let first = next
        while next < count, footprint.layers[next].weightBytes <= room {
          room -= footprint.layers[next].weightBytes
          next += 1
        }
        if next > first { placed.append((node, next - first)) }
      }
      return next == count && placed.first?.node == 0 ? placed : []
    }
  }

  /// In proportion, by largest remainder, at least 1 each.
  private static func shares(_ total: Int, _ weights: [Int]) -> [Int] {
    let sum = Double(weights.reduce(0, +))
    let exact = weights.map { Double(total) * Double($0) / sum }
    var shares = exact.map { max(1, Int($0)) }
    let order = exact.indices.sorted {
      exact[$0] - exact[$0].rounded(.down) > exact[$1] - exact[$1].rounded(.down)
    }
    for index in order where shares.reduce(0, +) < total { shares[index] += 1 }
    while shares.reduce(0, +) > total, let most = shares.max(), let at = shares.firstIndex(of: most)
    { shares[at] -= 1 }
    return shares
  }
}

@Suite("Our plan against the rules of others")
struct PeerRuleTests {
  /// 3 to 5 laptops as people have them; 40 % of the clusters on Wi-Fi.
  private static func laptops(_ generator: inout SeededGenerator) throws -> Cluster {
    let nodes = (0..<Int.random(in: 3...5, using: &generator)).map { index in
      NodeProfile(
        name: "node-\(index)", ramBytes: Int.random(in: 6400...8400, using: &generator) << 20,
        reserveBytes: 2 << 30,
        compute: ComputeProfile(
          weightBytesPerSecond: Int.random(in: 14...42, using: &generator) * 1_000_000_000,
          operationsPerSecond: 100_000_000_000, layerNanoseconds: 40_000, passNanoseconds: 60_000))
    }
    let isWireless = Int.random(in: 0..<5, using: &generator) < 2
    let wireless = LinkProfile(roundTripNanoseconds: 12_000_000, bytesPerSecond: 12_000_000)
    return try Cluster(
      nodes: nodes, defaultLink: isWireless ? wireless : .gigabitEthernet, allTakePart: false)
  }

  private static let llama2 = SyntheticModel(
    layerCount: 32, layerBytes: 215_000_000, headBytes: 139_000_000, embeddingBytes: 139_000_000,
    keyValueBytesPerPosition: 16_384)
  private static let mistral = SyntheticModel(
    layerCount: 32, layerBytes: 123_000_000, headBytes: 139_000_000, embeddingBytes: 139_000_000,
    keyValueBytesPerPosition: 4096)

  @Test("150 random clusters: never slower than any other rule")
  func isNeverWorse() throws {
    for (name, model, context) in [
      ("7B, 8 bits, 2048", Self.llama2, 2048), ("7B, 4 bits, 4096", Self.mistral, 4096),
    ] {
      let footprint = model.footprint(for: PlanSettings(context: context))
      for rule in PeerRule.allCases {
        var generator = SeededGenerator(seed: 150)
        var slowdowns: [Double] = []
        var misfits = 0
        for index in 0..<150 {
          let cluster = try Self.laptops(&generator)
          let planner = Planner(source: model, cluster: cluster)
          let request = PlanRequest(settings: PlanSettings(context: context))
          let costs = CostModel(
            footprint: footprint, cluster: cluster, workload: request.workload)
          let placed = rule.place(footprint, cluster)
          guard let theirs = Self.stages(placed, footprint, cluster) else {
            misfits += 1
            continue
          }
          let ours = try planner.plan(request).prediction.tokenNanoseconds
          let best = try #require(try planner.optimum(request))
          let time = costs.tokenNanoseconds(theirs)
          #expect(time >= Double(best), "\(rule), cluster \(index)")
          slowdowns.append(time / Double(ours))
        }
        slowdowns.sort()
        let median = slowdowns.isEmpty ? 0 : slowdowns[slowdowns.count / 2]
        let ninth = slowdowns.isEmpty ? 0 : slowdowns[slowdowns.count * 9 / 10]
        print(
          "\(name), \(rule.rawValue): median \(Quantity.fixed(median, digits: 2)), p90 "
            + "\(Quantity.fixed(ninth, digits: 2)), does not fit \(misfits) of 150")
        #expect(slowdowns.isEmpty || median >= 0.98)
      }
    }
  }

  /// The rule's plan, or nil where a node's memory does not hold its part.
  private static func stages(
    _ placed: [(node: Int, layers: Int)], _ footprint: ModelFootprint, _ cluster: Cluster
  ) -> [Stage]? {
    guard !placed.isEmpty else { return nil }
    var stages: [Stage] = []
    var next = 0
    for (index, part) in placed.enumerated() {
      let isLast = index == placed.count - 1
      let layers = next..<(next + part.layers)
      let profile = cluster.nodes[part.node]
      let ledger = footprint.ledger(
        layers: layers, holdsEmbedding: index == 0, holdsHead: isLast, ramBytes: profile.ramBytes,
        reserveBytes: profile.reserveBytes)
      guard ledger.headroom >= 0 else { return nil }
      stages.append(Stage(node: part.node, layers: layers, holdsHead: isLast))
      next += part.layers
    }
    return stages
  }
}
