import ShardPlanning

/// Tries every subset, order, cut, place of the head and number of layers in VRAM.
struct BruteForce {
  let footprint: ModelFootprint
  let cluster: Cluster
  let costs: CostModel
  let headPlaces: [HeadPlace]
  let usesAccelerators: Bool
  let objective: PlanObjective

  /// What a plan is worth, added up stage by stage.
  struct Sums {
    var token = 0.0
    var slowestToken = 0.0
    var prompt = 0.0
    var slowestChunk = 0.0
    var headroom = Int.max
    var nodes = 0
  }

  struct Plan {
    var value: Double
    var headroom: Int
    var nodes: Int
    var slowest: Double
  }

  func value(_ stages: [Stage]) -> Double {
    switch objective {
    case .latency: costs.tokenNanoseconds(stages)
    case .throughput: costs.bottleneckNanoseconds(stages)
    case .request: costs.requestNanoseconds(stages)
    }
  }

  /// Every allowed plan.
  func plans() -> [Plan] {
    var plans: [Plan] = []
    for place in headPlaces {
      extend(Sums(), done: 0, last: nil, used: 0, place, &plans)
    }
    return plans
  }

  private func extend(
    _ sums: Sums, done: Int, last: Int?, used: Int, _ place: HeadPlace, _ plans: inout [Plan]
  ) {
    let layerCount = footprint.layers.count
    let candidates = last == nil ? 0..<1 : 1..<cluster.nodes.count
    for node in candidates where used & (1 << node) == 0 {
      for end in (done + 1)...layerCount {
        let isLast = end == layerCount
        if isLast, cluster.allTakePart, sums.nodes + 1 < cluster.nodes.count { continue }
        // One node holds the head either way; count it once.
        if isLast, last == nil, place == .coordinator { continue }
        let holdsHead = place == .lastNode ? isLast : last == nil
        let card = usesAccelerators && cluster.nodes[node].vramBytes > 0 ? end - done : 0
        for accelerated in 0...card {
          let stage = Stage(
            node: node, layers: done..<end, holdsHead: holdsHead, accelerated: accelerated)
          guard let next = adding(stage, to: sums, after: last) else { continue }
          if isLast {
            plans.append(finished(next, node, place))
          } else {
            extend(next, done: end, last: node, used: used | (1 << node), place, &plans)
          }
        }
        if isLast { break }
      }
    }
  }

  private func adding(_ stage: Stage, to sums: Sums, after last: Int?) -> Sums? {
    let headroom = headroom(stage, isFirst: last == nil)
    guard headroom >= 0 else { return nil }
    var sums = sums
    sums.nodes += 1
    sums.headroom = min(sums.headroom, headroom)
    if let last {
      sums.token += costs.hop[last][stage.node]
      sums.slowestToken = max(sums.slowestToken, costs.hop[last][stage.node])
      sums.prompt += costs.chunkHop[last][stage.node]
      sums.slowestChunk = max(sums.slowestChunk, costs.chunkHop[last][stage.node])
    }
    let decode = costs.decode(stage)
    sums.token += decode
    sums.slowestToken = max(sums.slowestToken, decode)
    sums.prompt += costs.prefill(stage)
    sums.slowestChunk = max(sums.slowestChunk, costs.prefill(stage))
    if stage.holdsHead {
      // The head runs once for the prompt: what it adds to a token's decoding.
      var without = stage
      without.holdsHead = false
      sums.prompt += decode - costs.decode(without)
    }
    return sums
  }

  private func finished(_ sums: Sums, _ node: Int, _ place: HeadPlace) -> Plan {
    var sums = sums
    if sums.nodes > 1 {
      let back = place == .lastNode ? costs.back[node] : costs.hop[node][0]
      sums.token += back
      sums.slowestToken = max(sums.slowestToken, back)
      sums.prompt += back
    }
    let value =
      switch objective {
      case .latency: sums.token
      case .throughput: sums.slowestToken
      case .request:
        sums.prompt + Double(costs.chunkCount - 1) * sums.slowestChunk
          + Double(costs.workload.generateTokens - 1) * sums.token
      }
    return Plan(
      value: value, headroom: sums.headroom, nodes: sums.nodes,
      slowest: objective == .latency ? sums.slowestToken : 0)
  }

  /// Bytes left over in the node's memory; negative where it or the card has too little.
  private func headroom(_ stage: Stage, isFirst: Bool) -> Int {
    let node = cluster.nodes[stage.node]
    let cut = stage.layers.lowerBound + stage.accelerated
    var weights = 0
    var later = footprint.activationBytes
    var bytes = footprint.runtimeBytes
    for layer in footprint.layers[cut..<stage.layers.upperBound] {
      weights += layer.weightBytes
      later += layer.keyValueBytes
    }
    if isFirst { weights += footprint.embedding.weightBytes }
    if isFirst { bytes += footprint.tokenizerBytes }
    if stage.holdsHead { weights += footprint.head.weightBytes }
    if stage.holdsHead { later += footprint.headActivationBytes }
    if isFirst && stage.holdsHead { weights -= footprint.sharedBytes }
    // What is in flight while loading has gone when caches and activations come.
    bytes += weights + max(later, min(footprint.loadBufferBytes, 3 * weights))
    if stage.accelerated > 0 {
      let card = footprint.layers[stage.layers.lowerBound..<cut]
        .reduce(footprint.activationBytes) { $0 + $1.weightBytes + $1.keyValueBytes }
      guard card + NodeProfile.vramReserveBytes <= node.vramBytes else { return -1 }
    }
    return node.ramBytes - node.reserveBytes - bytes
  }

  /// Headroom counts in steps of 64 MiB.
  private var step: Int { 64 << 20 }

  struct Expected {
    var optimum: Double
    var nodes: Int
    var value: Double
  }

  /// What the optimum and the rules for ties give.
  func expected() -> Expected? {
    let all = plans()
    guard let optimum = all.map(\.value).min() else { return nil }
    let tied = all.filter { $0.value <= optimum * 1.02 }
    let nodes = tied.map(\.nodes).min() ?? 0
    let fewest = tied.filter { $0.nodes == nodes }
    let room = fewest.map { $0.headroom / step }.max() ?? 0
    let roomiest = fewest.filter { $0.headroom / step == room }
    let slowest = roomiest.map(\.slowest).min() ?? 0
    let value = roomiest.filter { $0.slowest == slowest }.map(\.value).min() ?? optimum
    return Expected(optimum: optimum, nodes: nodes, value: value)
  }
}
