/// Finds the best stages for an objective: exactly, then by the rules for ties.
package struct PlanSearch: Sendable {
  let tables: SearchTables
  var headPlaces: [HeadPlace]
  var usesAccelerators: Bool

  /// Plans this close to the best count as equally fast.
  static let tie = 1.02
  /// Headroom is compared in steps of this many bytes.
  static let headroomStep = 64 << 20
  /// With more sets of nodes than this, ties keep the best plan's nodes and order.
  static let exhaustiveSetLimit = 1 << 12

  package init(
    tables: SearchTables, headPlaces: [HeadPlace] = [.lastNode], usesAccelerators: Bool = false
  ) {
    self.tables = tables
    self.headPlaces = headPlaces
    self.usesAccelerators = usesAccelerators
  }

  private var costs: CostModel { tables.costs }

  /// The best value that any allowed plan has, and the plan that the rules for ties choose.
  package struct Choice: Sendable {
    package var optimum: Double
    package var stages: [Stage]
  }

  /// The plan for an objective, or nil where none fits.
  ///
  /// Among plans within 2 % of the best those with the fewest nodes are taken, among those the
  /// ones whose fullest node has the most left over (in steps of 64 MiB), among those (for
  /// latency) the ones whose slowest stage is fastest, among those the fastest.
  package func choose(_ objective: PlanObjective) -> Choice? {
    guard let best = optimum(objective, rules: rules()) else { return nil }
    let limit = best.value * Self.tie
    for count in 1...best.stages.count {
      let found =
        count == best.stages.count
        ? best : optimum(objective, rules: rules(), count: count, limit: limit)
      guard let found else { continue }
      let chosen = settled(objective, found, limit: limit)
      return Choice(optimum: best.value, stages: chosen.stages)
    }
    return Choice(optimum: best.value, stages: best.stages)
  }

  func rules(headroom: Int = 0, cap: Double = .infinity) -> SearchRules {
    SearchRules(
      headPlaces: headPlaces, usesAccelerators: usesAccelerators, headroom: headroom, cap: cap)
  }

  /// The best plan of an objective under rules, of any count of nodes or of one.
  func optimum(
    _ objective: PlanObjective, rules: SearchRules, count: Int? = nil,
    limit: Double = .infinity
  ) -> SearchResult? {
    switch objective {
    case .latency: additive(.token, rules, count, limit)
    case .throughput: bottleneck(.token, rules, count, limit)
    case .request: request(rules, count, limit)
    }
  }

  private func additive(
    _ measure: Measure, _ rules: SearchRules, _ count: Int?, _ limit: Double
  ) -> SearchResult? {
    best(rules, count) { place in
      var problem = tables.problem(measure, head: place, rules: rules)
      problem.limit = limit
      var search = SubsetSearch<Additive>(problem)
      return search.run()
    } finish: { stage, first in
      let choice = tables.cheapest(
        measure, stage.node, stage.layers, embedding: first, head: stage.holdsHead, rules)
      return choice?.accelerated ?? 0
    }
  }

  private func bottleneck(
    _ measure: Measure, _ rules: SearchRules, _ count: Int?, _ limit: Double
  ) -> SearchResult? {
    best(rules, count) { place in
      var problem = tables.bottleneckProblem(measure, head: place, rules: rules)
      problem.limit = limit
      var search = SubsetSearch<Bottleneck>(problem)
      return search.run()
    } finish: { stage, first in
      let choice = tables.cheapest(
        measure, stage.node, stage.layers, embedding: first, head: stage.holdsHead, rules,
        bySlowest: true)
      return choice?.accelerated ?? 0
    }
  }

  /// The best result over the places of the head, its stages completed.
  private func best(
    _ rules: SearchRules, _ count: Int?, _ run: (HeadPlace) -> [Int: SearchResult],
    finish: (_ stage: Stage, _ isFirst: Bool) -> Int
  ) -> SearchResult? {
    var best: SearchResult?
    for place in rules.headPlaces {
      for (nodes, result) in run(place).sorted(by: { $0.key < $1.key }) {
        guard count == nil || count == nodes else { continue }
        if let best, best.value <= result.value { continue }
        var result = result
        let head = place == .lastNode ? result.stages.count - 1 : 0
        for index in result.stages.indices {
          result.stages[index].holdsHead = index == head
          result.stages[index].accelerated = finish(result.stages[index], index == 0)
        }
        best = result
      }
    }
    return best
  }

  /// Whole requests: the sum over the stages, and the slowest of them once more for every
  /// further chunk.
  ///
  /// For all plans whose slowest stage lies between two bounds, the best sum under the upper
  /// bound and the lower bound together bound the value from below; intervals that cannot hold
  /// a better plan are dropped, all others are cut in two. Exact.
  private func request(_ rules: SearchRules, _ count: Int?, _ limit: Double) -> SearchResult? {
    let repeats = Double(costs.chunkCount - 1)
    guard let floor = bottleneck(.request, rules, count, .infinity)?.value else { return nil }
    var best: SearchResult?
    var bound = limit
    var intervals = [(low: floor, high: rules.cap, atLeast: 0.0)]
    while let (low, high, atLeast) = intervals.popLast() {
      guard best == nil || atLeast + repeats * low < bound else { continue }
      var capped = rules
      capped.cap = high
      guard let found = additive(.request, capped, count, bound - repeats * low) else { continue }
      let slowest = slowestChunk(found.stages)
      let value = found.value + repeats * slowest
      if value < bound || (best == nil && value <= limit) {
        best = SearchResult(value: value, stages: found.stages)
        bound = value
      }
      let rest = slowest - 1
      guard rest >= low else { continue }
      let middle = ((low + rest) / 2).rounded(.down)
      intervals.append((low, middle, found.value))
      if middle + 1 <= rest { intervals.append((middle + 1, rest, found.value)) }
    }
    return best
  }

  /// The slowest stage or link while a prompt is read.
  private func slowestChunk(_ stages: [Stage]) -> Double {
    var slowest = 0.0
    for (index, stage) in stages.enumerated() {
      slowest = max(slowest, costs.prefill(stage))
      if index + 1 < stages.count {
        slowest = max(slowest, costs.chunkHop[stage.node][stages[index + 1].node])
      }
    }
    return slowest
  }

  /// What the rules for ties choose among plans with as many nodes as `found` and a value of at
  /// most `limit`.
  private func settled(
    _ objective: PlanObjective, _ found: SearchResult, limit: Double
  ) -> SearchResult {
    guard tables.setCount > Self.exhaustiveSetLimit else {
      return roomiest(objective, found, limit: limit)
    }
    let order = found.stages.map(\.node)
    let chain = PlanSearch(
      tables: tables.restricted(to: order), headPlaces: headPlaces,
      usesAccelerators: usesAccelerators)
    var local = found
    for index in local.stages.indices { local.stages[index].node = index }
    var result = chain.roomiest(objective, local, limit: limit)
    for index in result.stages.indices { result.stages[index].node = order[index] }
    return result
  }

  private func roomiest(
    _ objective: PlanObjective, _ found: SearchResult, limit: Double
  ) -> SearchResult {
    let count = found.stages.count
    var low = 0
    var high = 1 + (tables.cluster.nodes.map(\.capacity).max() ?? 0) / Self.headroomStep
    while high - low > 1 {
      let middle = (low + high) / 2
      let rules = rules(headroom: middle * Self.headroomStep)
      if optimum(objective, rules: rules, count: count, limit: limit) != nil {
        low = middle
      } else {
        high = middle
      }
    }
    var rules = rules(headroom: low * Self.headroomStep)
    switch objective {
    case .latency: return mostEven(found, rules, limit: limit)
    case .throughput:
      // Equally many tokens per second: then the shortest way for each.
      rules.cap = limit
      return additive(.token, rules, count, .infinity) ?? found
    case .request: return optimum(objective, rules: rules, count: count, limit: limit) ?? found
    }
  }

  /// Among plans of at most `limit` from token to token the one whose slowest stage is fastest:
  /// it serves several sequences best.
  private func mostEven(
    _ found: SearchResult, _ rules: SearchRules, limit: Double
  ) -> SearchResult {
    let count = found.stages.count
    guard let first = additive(.token, rules, count, limit) else { return found }
    var best = first
    var high = costs.bottleneckNanoseconds(first.stages)
    var low = (bottleneck(.token, rules, count, .infinity)?.value ?? high) - 1
    while high - low > 1 {
      var capped = rules
      capped.cap = ((low + high) / 2).rounded(.down)
      if let even = additive(.token, capped, count, limit) {
        best = even
        high = min(capped.cap, costs.bottleneckNanoseconds(even.stages))
      } else {
        low = capped.cap
      }
    }
    return best
  }
}
