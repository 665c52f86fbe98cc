/// Whole requests: a prompt in overlapping chunks, then an answer token by token.
///
/// Their time is a sum over the stages and, for every further chunk of the prompt, the slowest
/// stage or link once more.
extension PlanSearch {
  /// Passes of the prompt in which all stages wait for the slowest one.
  private var repeats: Double { Double(costs.chunkCount - 1) }

  func chooseRequest(_ rules: SearchRules) -> Choice? {
    guard let best = request(rules, nil, .infinity) else { return nil }
    let limit = best.value * Self.tie
    var fewer = rules
    fewer.mostNodes = best.stages.count - 1
    let waiting = repeats * tables.leastSlowest(nodes: fewer.mostNodes, rules)
    let sums = additive(.request, fewer, limit: limit - waiting)
    for count in 1..<max(1, best.stages.count) {
      // Plans whose sum alone is over the limit need no closer look.
      guard let sum = self.best(sums, count) else { continue }
      let found =
        isExhaustive
        ? request(rules, count, limit, isAnyGoodEnough: true)
        : SearchResult(value: costs.requestNanoseconds(sum.stages), stages: sum.stages)
      guard let found, found.value <= limit else { continue }
      return Choice(optimum: best.value, stages: settled(.request, found, limit: limit).stages)
    }
    return Choice(optimum: best.value, stages: settled(.request, best, limit: limit).stages)
  }

  /// The best plan of at most `count` nodes and a value of at most `limit`.
  ///
  /// The best sum of all gives a first plan. Other ones must have a faster slowest stage; its
  /// times are cut into intervals. For all plans in one, the best sum under its upper end and
  /// its lower end together bound the value from below: intervals that cannot hold a better plan
  /// are dropped, all others are cut again.
  ///
  /// - Parameter isAnyGoodEnough: whether the first plan within the limit will do.
  func request(
    _ rules: SearchRules, _ count: Int?, _ limit: Double, isAnyGoodEnough: Bool = false
  ) -> SearchResult? {
    var rules = rules
    if count == nil { rules.goodOrders = goodOrders(rules) }
    var best: SearchResult?
    var bound = limit
    let least = tables.leastSlowest(nodes: count ?? .max, rules)
    var intervals = [Interval(low: least, high: rules.cap, sum: 0)]
    // The one with the least bound first: most others then need no look.
    while let next = intervals.indices.min(by: {
      intervals[$0].bound(repeats) < intervals[$1].bound(repeats)
    }) {
      let interval = intervals.remove(at: next)
      guard best == nil || interval.bound(repeats) < bound else { break }
      var capped = rules
      capped.cap = interval.high
      capped.mostNodes = count ?? .max
      let left = bound - repeats * interval.low
      let sums = additive(.request, capped, limit: left, slack: slack(count))
      guard let found = self.best(sums, count) else { continue }
      let slowest = slowestChunk(found.stages)
      let value = found.value + repeats * slowest
      if value < bound || (best == nil && value <= bound) {
        best = SearchResult(value: value, stages: found.stages)
        bound = value
        if isAnyGoodEnough { return best }
      }
      // A plan of a higher sum must make up for it.
      let most = repeats > 0 ? (bound - found.value) / repeats : 0
      let rest = min(slowest - 1, most.rounded(.up))
      guard rest >= interval.low else { continue }
      intervals += Self.pieces(from: interval.low, to: rest, sum: found.value)
    }
    return best
  }

  /// Times of the slowest stage or link, and the least sum that plans with one of them have.
  private struct Interval {
    var low: Double
    var high: Double
    var sum: Double

    /// No plan in it has a lower value.
    func bound(_ repeats: Double) -> Double { sum + repeats * low }
  }

  /// An interval in pieces whose ends differ by a fifth, or in halves where it is narrower; what
  /// is below a hundredth of it stays in one piece.
  private static func pieces(from low: Double, to high: Double, sum: Double) -> [Interval] {
    let least = (high / 100).rounded(.down)
    var pieces: [Interval] = []
    if low < least { pieces.append(Interval(low: low, high: least, sum: sum)) }
    var start = low < least ? least + 1 : low
    let ratio = min(1.2, (high / max(1, start)).squareRoot())
    while start <= high {
      let end = min(high, max(start, (start * ratio).rounded(.down)))
      pieces.append(Interval(low: start, high: end, sum: sum))
      start = end + 1
    }
    return pieces
  }

  /// Orders of the nodes in which good plans are found, the best one first.
  private func goodOrders(_ rules: SearchRules) -> [[Int]] {
    var orders: [[Int]] = []
    for place in rules.headPlaces {
      let problem = tables.problem(.request, head: place, rules: rules)
      let order = problem.quickOrder(Additive.self, orders: tables.likelyOrders).order
      if !orders.contains(order) { orders.append(order) }
    }
    return orders + tables.likelyOrders.filter { !orders.contains($0) }
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
}
