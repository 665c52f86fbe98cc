/// Whole requests: a prompt in overlapping chunks, then an answer token by token.
///
/// Their time is a sum over the stages and, for every further chunk of the prompt, the slowest
/// stage or link once more.
extension PlanSearch {
  func chooseRequest(_ rules: SearchRules) -> Choice? {
    guard let best = request(rules, nil, .infinity) else { return nil }
    let limit = best.value * Self.tie
    let sums = additive(.request, rules, limit: limit)
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
  /// For all plans whose slowest stage lies between two bounds, the best sum under the upper
  /// bound and the lower bound together bound the value from below; intervals that cannot hold
  /// a better plan are dropped, all others are cut in two. Exact where there are at most
  /// `exhaustiveSetLimit` sets of nodes.
  ///
  /// - Parameter isAnyGoodEnough: whether the first plan within the limit will do.
  func request(
    _ rules: SearchRules, _ count: Int?, _ limit: Double, isAnyGoodEnough: Bool = false
  ) -> SearchResult? {
    let repeats = Double(costs.chunkCount - 1)
    let floors = bottleneck(.request, rules, slack: slack(count))
    guard let floor = best(floors, count)?.value else { return nil }
    guard isExhaustive else { return sampledRequest(rules, count, floor: floor) }
    var best: SearchResult?
    var bound = limit
    var intervals = [(low: floor, high: rules.cap, atLeast: 0.0)]
    while let (low, high, atLeast) = intervals.popLast() {
      guard best == nil || atLeast + repeats * low < bound else { continue }
      var capped = rules
      capped.cap = high
      let sums = additive(
        .request, capped, limit: bound - repeats * low, slack: slack(count))
      guard let found = self.best(sums, count) else { continue }
      let slowest = slowestChunk(found.stages)
      let value = found.value + repeats * slowest
      if value < bound || (best == nil && value <= limit) {
        best = SearchResult(value: value, stages: found.stages)
        bound = value
        if isAnyGoodEnough { return best }
      }
      let rest = slowest - 1
      guard rest >= low else { continue }
      let middle = ((low + rest) / 2).rounded(.down)
      intervals.append((low, middle, found.value))
      if middle + 1 <= rest { intervals.append((middle + 1, rest, found.value)) }
    }
    return best
  }

  /// A good plan where there are too many sets of nodes for the exact search: the best sums
  /// under a few limits for the slowest stage give nodes and orders, each of which is then
  /// searched exactly.
  private func sampledRequest(
    _ rules: SearchRules, _ count: Int?, floor: Double
  ) -> SearchResult? {
    var best: SearchResult?
    var capped = rules
    while let found = self.best(
      additive(.request, capped, slack: slack(count)), count)
    {
      let refined = onItsWay(found) { chain, local in
        chain.request(rules, nil, .infinity) ?? local
      }
      let value = costs.requestNanoseconds(refined.stages)
      if value < best?.value ?? .infinity {
        best = SearchResult(value: value, stages: refined.stages)
      }
      capped.cap = (slowestChunk(found.stages) * 0.8).rounded(.down)
      if capped.cap < floor { break }
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
}
