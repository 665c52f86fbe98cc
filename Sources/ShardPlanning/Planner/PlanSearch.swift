/// Finds the best stages for an objective: exactly, then by the rules for ties.
package struct PlanSearch: Sendable {
  let tables: SearchTables
  var headPlaces: [HeadPlace]
  var usesAccelerators: Bool

  /// Plans this close to the best count as equally fast.
  static let tie = 1.02
  /// Headroom is compared in steps of this many bytes.
  static let headroomStep = 64 << 20
  /// With more sets of nodes than this, ties keep the best plan's nodes and order, and for
  /// whole requests only a few of them are searched.
  static let exhaustiveSetLimit = 1 << 12

  package init(
    tables: SearchTables, headPlaces: [HeadPlace] = [.lastNode], usesAccelerators: Bool = false
  ) {
    self.tables = tables
    self.headPlaces = headPlaces
    self.usesAccelerators = usesAccelerators
  }

  var costs: CostModel { tables.costs }
  var isExhaustive: Bool { tables.setCount <= Self.exhaustiveSetLimit }

  /// The best value that any allowed plan has, and the plan that the rules for ties choose.
  package struct Choice: Sendable {
    package var optimum: Double
    package var stages: [Stage]
  }

  /// The plan for an objective, or nil where none fits.
  ///
  /// Among plans within 2 % of the best those with the fewest nodes are taken, among those the
  /// ones whose fullest node has the most left over (in steps of 64 MiB), among those (for
  /// latency) the ones whose slowest stage is fastest, among those the fastest. Where nodes
  /// hold parts of the model already, little to ship counts instead of room and evenness.
  package func choose(_ objective: PlanObjective) -> Choice? {
    let rules = rules()
    if objective == .request { return chooseRequest(rules) }
    let found =
      objective == .latency
      ? additive(.token, rules, slack: Self.tie) : bottleneck(.token, rules, slack: Self.tie)
    guard let best = found.values.map(\.value).min() else { return nil }
    let limit = best * Self.tie
    let tied = found.values.filter { $0.value <= limit }
    guard let fewest = tied.min(by: { $0.stages.count < $1.stages.count }) else { return nil }
    return Choice(optimum: best, stages: settled(objective, fewest, limit: limit).stages)
  }

  func rules(headroom: Int = 0, cap: Double = .infinity) -> SearchRules {
    SearchRules(
      headPlaces: headPlaces, usesAccelerators: usesAccelerators, headroom: headroom, cap: cap)
  }

  /// The best plan of an objective under rules.
  ///
  /// - Parameters:
  ///   - count: the most nodes it may have; nil for any number.
  ///   - limit: plans of a higher value are not wanted.
  func optimum(
    _ objective: PlanObjective, rules: SearchRules, count: Int? = nil,
    limit: Double = .infinity
  ) -> SearchResult? {
    switch objective {
    case .latency: best(additive(.token, rules, limit: limit, slack: slack(count)), count)
    case .throughput: best(bottleneck(.token, rules, limit: limit, slack: slack(count)), count)
    case .request: request(rules, count, limit)
    }
  }

  /// Any plan's value bounds the search for the best one, but not that for one of few nodes.
  func slack(_ count: Int?) -> Double? { count == nil ? 1 : nil }

  /// The best plan of all, or of those with at most `count` nodes.
  func best(_ found: [Int: SearchResult], _ count: Int?) -> SearchResult? {
    found.filter { $0.key <= count ?? $0.key }.sorted { $0.key < $1.key }.map(\.value)
      .min { $0.value < $1.value }
  }

  /// The best plans of an additive measure, for each count of nodes.
  ///
  /// - Parameter slack: only plans within this factor of the best are wanted; nil for all.
  func additive(
    _ measure: Measure, _ rules: SearchRules, limit: Double = .infinity, slack: Double? = nil
  ) -> [Int: SearchResult] {
    search(Additive.self, rules, limit, slack) { place in
      tables.problem(measure, head: place, rules: rules)
    } accelerated: { stage, isFirst in
      tables.cheapest(
        measure, stage.node, stage.layers, embedding: isFirst, head: stage.holdsHead, rules)?
        .accelerated ?? 0
    }
  }

  /// The plans whose slowest stage or link is fastest, for each count of nodes.
  func bottleneck(
    _ measure: Measure, _ rules: SearchRules, limit: Double = .infinity, slack: Double? = nil
  ) -> [Int: SearchResult] {
    search(Bottleneck.self, rules, limit, slack) { place in
      tables.bottleneckProblem(measure, head: place, rules: rules)
    } accelerated: { stage, isFirst in
      tables.cheapest(
        measure, stage.node, stage.layers, embedding: isFirst, head: stage.holdsHead, rules,
        bySlowest: true)?.accelerated ?? 0
    }
  }

  /// The best results over the places of the head, their stages completed.
  private func search<Algebra: CostAlgebra>(
    _ algebra: Algebra.Type, _ rules: SearchRules, _ limit: Double, _ slack: Double?,
    problem: (HeadPlace) -> SearchProblem, accelerated: (_ stage: Stage, _ isFirst: Bool) -> Int
  ) -> [Int: SearchResult] {
    var best: [Int: SearchResult] = [:]
    for place in rules.headPlaces {
      var problem = problem(place)
      problem.limit = limit
      problem.mostNodes = rules.mostNodes
      if let slack {
        let quick =
          rules.goodOrders.isEmpty
          ? problem.quickOrder(Algebra.self, orders: tables.likelyOrders).value
          : problem.quickValue(Algebra.self, orders: rules.goodOrders)
        problem.limit = min(limit, quick * slack)
      }
      var search = SubsetSearch<Algebra>(problem)
      for (count, result) in search.run() {
        if let known = best[count], known.value <= result.value { continue }
        var result = result
        let head = place == .lastNode ? count - 1 : 0
        for index in result.stages.indices {
          result.stages[index].holdsHead = index == head
          result.stages[index].accelerated = accelerated(result.stages[index], index == 0)
        }
        best[count] = result
      }
    }
    return best
  }

  /// What the rules for ties choose among plans with as many nodes as `found` and a value of at
  /// most `limit`.
  func settled(
    _ objective: PlanObjective, _ found: SearchResult, limit: Double
  ) -> SearchResult {
    if let shipping = tables.shipping {
      return leastShipping(objective, found, shipping, limit: limit)
    }
    guard !isExhaustive else { return roomiest(objective, found, limit: limit) }
    return onItsWay(found) { $0.roomiest(objective, $1, limit: limit) }
  }

  /// Searches only plans with the nodes and the order of `found`.
  func onItsWay(
    _ found: SearchResult, _ search: (PlanSearch, SearchResult) -> SearchResult
  ) -> SearchResult {
    let order = found.stages.map(\.node)
    let chain = PlanSearch(
      tables: tables.restricted(to: order), headPlaces: headPlaces,
      usesAccelerators: usesAccelerators)
    var local = found
    for index in local.stages.indices { local.stages[index].node = index }
    var result = search(chain, local)
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
      return best(additive(.token, rules), count) ?? found
    case .request: return optimum(objective, rules: rules, count: count, limit: limit) ?? found
    }
  }

  /// Among plans of at most `limit` from token to token the one whose slowest stage is fastest:
  /// it serves several sequences best.
  private func mostEven(
    _ found: SearchResult, _ rules: SearchRules, limit: Double
  ) -> SearchResult {
    let count = found.stages.count
    guard let first = best(additive(.token, rules, limit: limit), count) else { return found }
    var mostEven = first
    var high = costs.bottleneckNanoseconds(first.stages)
    var low = (best(bottleneck(.token, rules), count)?.value ?? high) - 1
    while high - low > 1 {
      var capped = rules
      capped.cap = ((low + high) / 2).rounded(.down)
      if let even = best(additive(.token, capped, limit: limit), count) {
        mostEven = even
        high = min(capped.cap, costs.bottleneckNanoseconds(even.stages))
      } else {
        low = capped.cap
      }
    }
    return mostEven
  }
}
