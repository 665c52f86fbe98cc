/// Where a search may put the head.
package enum HeadPlace: Sendable, CaseIterable {
  /// On the last node of the ring, which then sends token ids back.
  case lastNode
  /// On the coordinator, which then gets hidden states back.
  case coordinator
}

/// What a search may do and must keep to.
struct SearchRules: Sendable {
  var headPlaces: [HeadPlace] = [.lastNode]
  /// Whether layers may lie in the memory of a graphics card.
  var usesAccelerators = false
  /// Bytes that each node must have left over.
  var headroom = 0
  /// Longest time that one stage or link may take, in the measure that an objective caps.
  var cap = Double.infinity
  /// Nanoseconds that each MiB counts which a node has to get; whole.
  var shippingPrice = 0.0
  /// Plans of more nodes are not wanted.
  var mostNodes = Int.max
  /// Orders in which a good plan is known to be found; empty where nothing is known.
  var goodOrders: [[Int]] = []
}

/// The measure that an objective adds up, and the one that a cap limits.
enum Measure: Sendable {
  /// Time from token to token; a cap limits a token's stages and hops.
  case token
  /// Time of a whole request without waiting for the slowest stage; a cap limits a prompt
  /// chunk's stages and hops.
  case request
}

/// Turns footprint, costs and rules into tables for `SubsetSearch`.
package struct SearchTables: Sendable {
  let footprint: ModelFootprint
  let cluster: Cluster
  let costs: CostModel
  /// Whether the nodes can only run in the cluster's order.
  let keepsOrder: Bool
  /// Bytes of weights of the layers before each.
  private let weightsBefore: [Int]
  /// Bytes of cache of the layers before each.
  private let cachesBefore: [Int]
  /// Bytes that each node's process may take.
  private let capacity: [Int]
  /// What nodes hold already; nil where that does not matter.
  let shipping: Shipping?
  /// Bytes of a node without layers, by what it holds: embedding × 2 + head.
  private let fixed: [Fixed]

  private struct Fixed: Sendable {
    var weights: Int
    var activations: Int
    var others: Int
  }

  package init(
    footprint: ModelFootprint, cluster: Cluster, costs: CostModel, keepsOrder: Bool = false,
    shipping: Shipping? = nil
  ) {
    self.footprint = footprint
    self.cluster = cluster
    self.costs = costs
    self.keepsOrder = keepsOrder
    self.shipping = shipping
    var weights = [0]
    var caches = [0]
    for layer in footprint.layers {
      weights.append(weights[weights.count - 1] + layer.weightBytes)
      caches.append(caches[caches.count - 1] + layer.keyValueBytes)
    }
    weightsBefore = weights
    cachesBefore = caches
    capacity = cluster.nodes.map(\.capacity)
    fixed = [(false, false), (false, true), (true, false), (true, true)].map { embedding, head in
      let ledger = footprint.ledger(
        layers: 0..<0, holdsEmbedding: embedding, holdsHead: head, ramBytes: 0, reserveBytes: 0)
      return Fixed(
        weights: ledger[.embedding] + ledger[.head], activations: ledger[.activations],
        others: ledger[.tokenizer] + ledger[.runtime])
    }
  }

  /// The same for some of the nodes, in that order.
  func restricted(to order: [Int]) -> SearchTables {
    SearchTables(
      footprint: footprint, cluster: cluster.restricted(to: order),
      costs: costs.restricted(to: order), keepsOrder: true,
      shipping: shipping?.restricted(to: order))
  }

  /// Sets of nodes that a search tells apart: equal nodes are taken in one order only.
  var setCount: Int {
    guard !keepsOrder else { return cluster.nodes.count }
    var sizes: [Int: Int] = [:]
    var first: [Int] = Array(cluster.nodes.indices)
    for node in cluster.nodes.indices.dropFirst() {
      if let twin = twin(before: node) { first[node] = first[twin] }
      sizes[first[node], default: 0] += 1
    }
    return sizes.values.reduce(1) { $0 * ($1 + 1) }
  }

  private func twin(before node: Int) -> Int? { (1..<node).last { areTwins($0, node) } }

  var layerCount: Int { footprint.layers.count }

  /// Bytes that a node's process takes: the ledger's total.
  func bytes(_ layers: Range<Int>, embedding: Bool, head: Bool) -> Int {
    let fixed = fixed[(embedding ? 2 : 0) + (head ? 1 : 0)]
    let (first, last) = (layers.lowerBound, layers.upperBound)
    let weights = fixed.weights + weightsBefore[last] - weightsBefore[first]
    let later = fixed.activations + cachesBefore[last] - cachesBefore[first]
    return weights + later + fixed.others
      + footprint.loadingBytes(weights: weights, later: later)
  }

  /// Tables in which each entry is `cost` of a stage, or infinity where it cannot be.
  func problem(
    head place: HeadPlace, closing: (Int) -> Double,
    cost: (_ node: Int, _ layers: Range<Int>, _ embedding: Bool, _ head: Bool) -> Double
  ) -> SearchProblem {
    let count = cluster.nodes.count
    let width = layerCount + 1
    var problem = SearchProblem(
      layerCount: layerCount, nodeCount: count, mustUseAll: cluster.allTakePart)
    problem.alone = cost(0, 0..<layerCount, true, true)
    for end in 1..<width {
      problem.start[end] = cost(0, 0..<end, true, place == .coordinator)
    }
    for node in 1..<max(1, count) {
      problem.predecessor[node] = keepsOrder ? node - 1 : twin(before: node)
      for first in 1..<layerCount {
        for last in (first + 1)...layerCount {
          let value = cost(node, first..<last, false, false)
          problem.ranges[node][first * width + last] = value
          // Where these layers cannot be, more of them cannot either.
          if value == .infinity { break }
        }
        let isHead = place == .lastNode
        problem.tails[node][first] =
          cost(node, first..<layerCount, false, isHead) + closing(node)
      }
    }
    return problem
  }

  /// How much work each layer is, for all nodes together.
  private func amounts(_ measure: Measure) -> [Double] {
    let steps = measure == .request ? Double(costs.workload.generateTokens - 1) : 1
    return (0..<layerCount).map { layer in
      costs.nodes.reduce(0) { sum, node in
        let prefill = measure == .request ? node.sum(false, layer..<(layer + 1)) : 0
        return sum + steps * node.sum(true, layer..<(layer + 1)) + prefill
      }
    }
  }

  /// No plan of so many nodes has a faster slowest stage while a prompt is read: in less time they
  /// could not run all layers, even if each took the range that suits it best.
  func leastSlowest(nodes count: Int, _ rules: SearchRules) -> Double {
    guard !rules.usesAccelerators else { return 0 }
    var work = [0.0]
    for layer in 0..<layerCount {
      let amount = costs.nodes.reduce(0) { $0 + $1.sum(false, layer..<(layer + 1)) }
      work.append(work[layer] + amount)
    }
    func suffices(_ cap: Double) -> Bool {
      let most = cluster.nodes.indices.map { mostWork($0, work, cap, rules) }.sorted(by: >)
      // A little more, so that rounding cannot make it too little.
      return most.prefix(count).reduce(0, +) * (1 + 1e-9) >= work[layerCount]
    }
    var low = 0.0
    var high = costs.nodes.map { $0.pass + $0.prefill[layerCount] }.max() ?? 0
    guard suffices(high) else { return 0 }
    while high - low > max(1, high / 1000) {
      let middle = ((low + high) / 2).rounded(.down)
      if suffices(middle) { high = middle } else { low = middle }
    }
    return low
  }

  /// The most work in a range that a node can hold and read a chunk with in some time.
  private func mostWork(
    _ node: Int, _ work: [Double], _ cap: Double, _ rules: SearchRules
  ) -> Double {
    let room = capacity[node] - rules.headroom
    let profile = costs.nodes[node]
    var most = 0.0
    var last = 0
    for first in 0..<layerCount {
      last = max(last, first)
      while last < layerCount,
        profile.pass + profile.sum(false, first..<(last + 1)) <= cap,
        bytes(first..<(last + 1), embedding: false, head: false) <= room
      { last += 1 }
      most = max(most, work[last] - work[first])
    }
    return most
  }

  /// The cost of the last message to the coordinator.
  private func ending(_ measure: Measure, _ node: Int, _ place: HeadPlace) -> Double {
    let once = place == .lastNode ? costs.back[node] : costs.hop[node][0]
    return measure == .token ? once : once * Double(costs.workload.generateTokens)
  }

  /// Orders of the nodes beside the coordinator in which a good plan is likely to be found.
  var likelyOrders: [[Int]] {
    let others = Array(1..<max(1, cluster.nodes.count))
    guard !keepsOrder else { return [others] }
    let bySpeed = others.sorted { left, right in
      let speed = (costs.nodes[left].decode[layerCount], costs.nodes[right].decode[layerCount])
      return speed.0 == speed.1 ? left < right : speed.0 < speed.1
    }
    let byMemory = others.sorted { left, right in
      capacity[left] == capacity[right] ? left < right : capacity[left] > capacity[right]
    }
    return [others, bySpeed, bySpeed.reversed(), byMemory]
  }

  /// Whether two nodes differ in nothing but their names.
  private func areTwins(_ left: Int, _ right: Int) -> Bool {
    var renamed = cluster.nodes[left]
    renamed.name = cluster.nodes[right].name
    guard renamed == cluster.nodes[right],
      cluster.link(from: left, to: right) == cluster.link(from: right, to: left)
    else { return false }
    return cluster.nodes.indices.allSatisfy { other in
      other == left || other == right
        || (cluster.link(from: left, to: other) == cluster.link(from: right, to: other)
          && cluster.link(from: other, to: left) == cluster.link(from: other, to: right))
    }
  }

  /// Tables of an additive measure under rules.
  func problem(_ measure: Measure, head place: HeadPlace, rules: SearchRules) -> SearchProblem {
    let count = cluster.nodes.count
    let repeats = measure == .request ? Double(costs.workload.generateTokens - 1) : 1
    func closing(_ node: Int) -> Double {
      let cost = ending(measure, node, place)
      return measure == .token && cost > rules.cap ? .infinity : cost
    }
    var problem = problem(head: place, closing: closing) { node, layers, embedding, head in
      cheapest(measure, node, layers, embedding: embedding, head: head, rules)?.cost ?? .infinity
    }
    for source in 0..<count {
      for target in 0..<count where source != target {
        let chunk = costs.chunkHop[source][target]
        let hop = costs.hop[source][target]
        switch measure {
        case .token: problem.links[source][target] = hop <= rules.cap ? hop : .infinity
        case .request:
          problem.links[source][target] = chunk <= rules.cap ? chunk + repeats * hop : .infinity
        }
      }
    }
    problem.amounts = amounts(measure)
    return problem
  }

  /// Tables of the slowest stage or link, in the measure that caps of `measure` limit.
  func bottleneckProblem(
    _ measure: Measure, head place: HeadPlace, rules: SearchRules
  ) -> SearchProblem {
    func closing(_ node: Int) -> Double {
      guard measure == .token else { return 0 }
      return place == .lastNode ? costs.back[node] : costs.hop[node][0]
    }
    var problem = problem(head: place, closing: { _ in 0 }) { node, layers, embedding, head in
      let stage = cheapest(
        measure, node, layers, embedding: embedding, head: head, rules, bySlowest: true)
      return stage?.capped ?? .infinity
    }
    for node in 1..<max(1, cluster.nodes.count) {
      let last = closing(node)
      for first in 0...layerCount {
        problem.tails[node][first] = max(problem.tails[node][first], last)
      }
    }
    problem.links = measure == .token ? costs.hop : costs.chunkHop
    problem.amounts = amounts(measure)
    return problem
  }

  /// One way to run a stage: its cost, the measure a cap limits, and the layers in VRAM.
  struct StageChoice {
    var cost: Double
    var capped: Double
    var accelerated: Int
  }

  /// The best way for a node to run layers, or nil where memory or the cap forbids all.
  func cheapest(
    _ measure: Measure, _ node: Int, _ layers: Range<Int>, embedding: Bool, head: Bool,
    _ rules: SearchRules, bySlowest: Bool = false
  ) -> StageChoice? {
    guard rules.usesAccelerators, cluster.nodes[node].vramBytes > 0 else {
      let needed = bytes(layers, embedding: embedding, head: head)
      guard needed <= capacity[node] - rules.headroom else { return nil }
      var choice = choice(measure, node, layers, 0, head: head)
      if let shipping, rules.shippingPrice > 0 {
        let missing = shipping.missingMiB(node, layers, embedding: embedding, head: head)
        choice.cost += rules.shippingPrice * Double(missing)
      }
      return choice.capped <= rules.cap ? choice : nil
    }
    let room = cluster.nodes[node].vramBytes - NodeProfile.vramReserveBytes
    var best: StageChoice?
    for accelerated in 0...layers.count {
      let cut = layers.lowerBound + accelerated
      if accelerated > 0 {
        let needed =
          weightsBefore[cut] - weightsBefore[layers.lowerBound] + cachesBefore[cut]
          - cachesBefore[layers.lowerBound] + footprint.activationBytes
        if needed > room { break }
      }
      let needed = bytes(cut..<layers.upperBound, embedding: embedding, head: head)
      guard needed <= capacity[node] - rules.headroom else { continue }
      let choice = choice(measure, node, layers, accelerated, head: head)
      guard choice.capped <= rules.cap else { continue }
      let isBetter =
        best.map { bySlowest ? choice.capped < $0.capped : choice.cost < $0.cost } ?? true
      if isBetter { best = choice }
    }
    return best
  }

  private func choice(
    _ measure: Measure, _ node: Int, _ layers: Range<Int>, _ accelerated: Int, head: Bool
  ) -> StageChoice {
    let stage = Stage(node: node, layers: layers, holdsHead: head, accelerated: accelerated)
    let decode = costs.decode(stage)
    guard measure == .request else {
      return StageChoice(cost: decode, capped: decode, accelerated: accelerated)
    }
    let prefill = costs.prefill(stage)
    let cost =
      prefill + (head ? costs.nodes[node].headPrefill : 0)
      + Double(costs.workload.generateTokens - 1) * decode
    return StageChoice(cost: cost, capped: prefill, accelerated: accelerated)
  }
}
