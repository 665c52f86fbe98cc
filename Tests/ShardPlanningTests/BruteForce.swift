import ShardPlanning

/// Tries every subset, order, cut, place of the head and number of layers in VRAM.
struct BruteForce {
  let footprint: ModelFootprint
  let cluster: Cluster
  let costs: CostModel
  var headPlaces: [HeadPlace] = [.lastNode]
  var usesAccelerators = false

  struct Candidate {
    var value: Double
    var headroom: Int
    var stages: [Stage]
  }

  func value(_ objective: PlanObjective, _ stages: [Stage]) -> Double {
    switch objective {
    case .latency: costs.tokenNanoseconds(stages)
    case .throughput: costs.bottleneckNanoseconds(stages)
    case .request: costs.requestNanoseconds(stages)
    }
  }

  /// Calls `body` with every allowed plan, its value and the least headroom of its nodes.
  func forEach(_ objective: PlanObjective, _ body: (Candidate) -> Void) {
    for order in orders() {
      for split in splits(of: footprint.layers.count, into: order.count) {
        for place in headPlaces where place == .lastNode || order.count > 1 {
          var stages: [Stage] = []
          var next = 0
          for (index, node) in order.enumerated() {
            let isHead = place == .lastNode ? index == order.count - 1 : index == 0
            stages.append(
              Stage(node: node, layers: next..<(next + split[index]), holdsHead: isHead))
            next += split[index]
          }
          placeAccelerated(stages, 0) { stages in
            guard let headroom = headroom(stages) else { return }
            body(
              Candidate(value: value(objective, stages), headroom: headroom, stages: stages))
          }
        }
      }
    }
  }

  /// Least bytes left over in the nodes' memory, or nil where something does not fit.
  private func headroom(_ stages: [Stage]) -> Int? {
    var least = Int.max
    for (index, stage) in stages.enumerated() {
      let node = cluster.nodes[stage.node]
      let cut = stage.layers.lowerBound + stage.accelerated
      let ledger = footprint.ledger(
        layers: cut..<stage.layers.upperBound, holdsEmbedding: index == 0,
        holdsHead: stage.holdsHead, ramBytes: node.ramBytes, reserveBytes: node.reserveBytes)
      least = min(least, ledger.headroom)
      if stage.accelerated > 0 {
        let card = footprint.layers[stage.layers.lowerBound..<cut]
          .reduce(footprint.activationBytes) { $0 + $1.weightBytes + $1.keyValueBytes }
        guard card + NodeProfile.vramReserveBytes <= node.vramBytes else { return nil }
      }
    }
    return least < 0 ? nil : least
  }

  private func placeAccelerated(_ stages: [Stage], _ index: Int, _ body: ([Stage]) -> Void) {
    guard index < stages.count else { return body(stages) }
    let hasCard = usesAccelerators && cluster.nodes[stages[index].node].vramBytes > 0
    for count in 0...(hasCard ? stages[index].layers.count : 0) {
      var stages = stages
      stages[index].accelerated = count
      placeAccelerated(stages, index + 1, body)
    }
  }

  /// Every way to start with the coordinator and go on over some of the others.
  private func orders() -> [[Int]] {
    var all: [[Int]] = []
    func extend(_ order: [Int]) {
      if !cluster.allTakePart || order.count == cluster.nodes.count { all.append(order) }
      for node in cluster.nodes.indices where !order.contains(node) { extend(order + [node]) }
    }
    extend([0])
    return all
  }

  private func splits(of total: Int, into parts: Int) -> [[Int]] {
    guard parts > 1 else { return total > 0 ? [[total]] : [] }
    guard total >= parts else { return [] }
    return (1...(total - parts + 1)).flatMap { first in
      splits(of: total - first, into: parts - 1).map { [first] + $0 }
    }
  }

  /// Headroom counts in steps of 64 MiB.
  private var step: Int { 64 << 20 }

  struct Expected {
    var optimum: Double
    var nodes: Int
    /// Most headroom, in steps, of a plan with that many nodes among those as good as the best.
    var headroom: Int
    var value: Double
  }

  /// What the optimum and the rules for ties give.
  func expected(_ objective: PlanObjective) -> Expected? {
    var best = Double.infinity
    var all: [(value: Double, headroom: Int, nodes: Int, slowest: Double)] = []
    forEach(objective) {
      best = min(best, $0.value)
      let slowest = objective == .latency ? costs.bottleneckNanoseconds($0.stages) : 0
      all.append(($0.value, $0.headroom / step, $0.stages.count, slowest))
    }
    guard best < .infinity else { return nil }
    let tied = all.filter { $0.value <= best * 1.02 }
    guard let nodes = tied.map(\.nodes).min() else { return nil }
    let fewest = tied.filter { $0.nodes == nodes }
    guard let room = fewest.map(\.headroom).max() else { return nil }
    let roomiest = fewest.filter { $0.headroom == room }
    guard let slowest = roomiest.map(\.slowest).min() else { return nil }
    let value = roomiest.filter { $0.slowest == slowest }.map(\.value).min()
    return Expected(optimum: best, nodes: nodes, headroom: room, value: value ?? best)
  }
}
