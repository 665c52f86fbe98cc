/// Exact search over all subsets of nodes, their orders and all contiguous cuts.
///
/// Dynamic programming over (set of nodes, last node, layers done); where all links cost the
/// same the last node does not matter and is left out of the state. States that cannot lead to
/// a plan within the limit are dropped (`TollBound`, `RemainingCapacity`), and so are those that
/// some of their nodes reach alone at no higher cost: the result for a count of nodes is therefore
/// the best one only where no smaller count has a better one.
/// Complexity: O(2^(N−1) · N · (L² + N·L)) at most for N nodes and L layers, far less where
/// memory limits the ranges, nodes are equal or a limit is known; memory for the states kept.
/// Source: Held and Karp, "A dynamic programming approach to sequencing problems" (1962), for
/// the order; the cuts are a further coordinate of the state.
struct SubsetSearch<Algebra: CostAlgebra> {
  private let problem: SearchProblem
  private let width: Int
  /// Nodes beside the coordinator.
  private let others: Int
  /// Last nodes that a state tells apart: all others, or one place for any.
  private let slots: Int
  /// Per node and first layer: the farthest end of a range that can be.
  private let reach: [[Int]]
  private let remaining: RemainingCapacity
  private let tolls: TollBound?
  /// What layers still to be done cost at least, tolls counted: by node that comes next, and by
  /// last node where that is known. `[node × width + j]`.
  private let through: [Double]
  private let after: [Double]
  /// Whether states with fewer nodes are looked for that cost no more.
  private let comparesSubsets: Bool
  private var rows: [Row]
  /// The costs of all rows by layers done; after each row, as many again, the least costs of
  /// states with some of its nodes, where those are compared.
  private var costs: [Double] = []
  /// Costs of reaching a node, by layers done; infinite outside `hubRange`.
  private var hub: [Double]
  private var hubRange = 0..<0
  /// New costs of a row, by layers done; infinite between two uses.
  private var fresh: [Double]

  /// The states of one set and last node.
  private struct Row {
    /// Where the costs begin, or -1: there are none.
    var start: Int32 = -1
    /// Layers done at the first cost kept, and how many costs there are.
    var base: Int16 = 0
    var span: Int16 = 0
    /// Layers done of the first state that costs less than infinity, and past the last.
    var low: Int16 = .max
    var high: Int16 = 0

    var isThere: Bool { start >= 0 }
    /// Where the cost of no layer done would be.
    var origin: Int { Int(start) - Int(base) }
    var range: Range<Int> { Int(low)..<max(Int(low), Int(high)) }

    func holds(_ done: Int) -> Bool { (Int(base)..<(Int(base) + Int(span))).contains(done) }
  }

  init(_ problem: SearchProblem) {
    self.problem = problem
    width = problem.layerCount + 1
    others = problem.nodeCount - 1
    slots = Self.hasUniformLinks(problem) ? 1 : others
    reach = problem.ranges.indices.map { problem.reach($0) }
    remaining = RemainingCapacity(problem.amounts, problem)
    let isBounded = Algebra.adds && problem.limit < .infinity && problem.nodeCount > 1
    let tolls = isBounded ? TollBound(problem) : nil
    self.tolls = tolls
    let unknown = [Double](repeating: 0, count: problem.nodeCount * width)
    through = tolls?.through ?? unknown
    after = (slots == 1 ? tolls?.afterAny : tolls?.after) ?? unknown
    comparesSubsets = Algebra.adds && !problem.mustUseAll
    rows = Array(repeating: Row(), count: slots << others)
    hub = Array(repeating: .infinity, count: width)
    fresh = hub
  }

  private static func hasUniformLinks(_ problem: SearchProblem) -> Bool {
    guard problem.nodeCount > 1 else { return true }
    let cost = problem.links[0][1]
    for source in 0..<problem.nodeCount {
      for target in 1..<problem.nodeCount where source != target {
        if problem.links[source][target] != cost { return false }
      }
    }
    return true
  }

  /// The best way for each count of nodes that has one.
  mutating func run() -> [Int: SearchResult] {
    var finals: [Int: Final] = [:]
    let isWhole = others == 0 || !problem.mustUseAll
    if isWhole, problem.alone < .infinity, problem.alone <= problem.limit {
      finals[1] = Final(value: problem.alone, set: 0, node: 0, cut: 0)
    }
    guard (tolls?.least ?? 0) <= problem.limit else { return results(finals) }
    let sets = 1 << others
    for set in 0..<(sets - 1) where set == 0 || hasStates(set) {
      // The coordinator, the nodes of the set and one more.
      guard set.nonzeroBitCount + 2 <= problem.mostNodes else { continue }
      if comparesSubsets { dropDominated(set) }
      let leastDone = remaining.leastDone(set)
      let refund = self.refund(set)
      for node in 1...others where canExtend(set, by: node) {
        guard gather(set, to: node, leastDone, refund) else { continue }
        let isFull = set | bit(node) == sets - 1
        if isFull || !problem.mustUseAll {
          close(set, node, count: set.nonzeroBitCount + 2, &finals)
        }
        if !isFull { extend(set, by: node, refund) }
      }
    }
    return results(finals)
  }

  private mutating func results(_ finals: [Int: Final]) -> [Int: SearchResult] {
    finals.mapValues { SearchResult(value: $0.value, stages: backtrack($0)) }
  }

  /// The tolls that the nodes outside a set give back.
  private func refund(_ set: Int) -> Double {
    tolls?.refund(unused: (1..<problem.nodeCount).lazy.filter { set & bit($0) == 0 }) ?? 0
  }

  private struct Final {
    var value: Double
    var set: Int
    var node: Int
    var cut: Int
  }

  private func bit(_ node: Int) -> Int { 1 << (node - 1) }

  private func canExtend(_ set: Int, by node: Int) -> Bool {
    guard set & bit(node) == 0 else { return false }
    guard let before = problem.predecessor[node], before > 0 else { return true }
    return set & bit(before) != 0
  }

  /// The place of a state in `rows`.
  private func place(_ set: Int, _ last: Int) -> Int {
    slots == 1 ? set : set * slots + last - 1
  }

  private func hasStates(_ set: Int) -> Bool {
    (0..<slots).contains { rows[set * slots + $0].isThere }
  }

  /// Drops what a state reaches at no lower cost than the same state without one of its nodes.
  private mutating func dropDominated(_ set: Int) {
    for slot in 0..<slots {
      let row = rows[set * slots + slot]
      guard row.isThere, !row.range.isEmpty else { continue }
      for node in 1...others where set & bit(node) != 0 && (slots == 1 || node != slot + 1) {
        let smaller = rows[(set & ~bit(node)) * slots + slot]
        if smaller.isThere { lowerFloor(row, smaller) }
      }
      let span = Int(row.span)
      var range = (low: Int16.max, high: Int16(0))
      for done in row.range {
        let index = row.origin + done
        if costs[index + span] <= costs[index] {
          costs[index] = .infinity
        } else if costs[index] < .infinity {
          range = (min(range.low, Int16(done)), Int16(done) + 1)
        }
      }
      (rows[set * slots + slot].low, rows[set * slots + slot].high) = range
    }
  }

  /// Lowers the least costs of fewer nodes in a row by those of a row with fewer nodes.
  private mutating func lowerFloor(_ row: Row, _ smaller: Row) {
    let low = max(row.range.lowerBound, Int(smaller.base))
    let high = min(row.range.upperBound, Int(smaller.base) + Int(smaller.span))
    guard low < high else { return }
    let (origin, smallerOrigin) = (row.origin, smaller.origin)
    let (span, smallerSpan) = (Int(row.span), Int(smaller.span))
    // SAFETY: each row has `span` costs from its base on, and as many floors after them.
    unsafe costs.withUnsafeMutableBufferPointer { costs in
      for done in low..<high {
        let own = unsafe costs[smallerOrigin + done]
        let fewer = unsafe costs[smallerOrigin + smallerSpan + done]
        let cost = own < fewer ? own : fewer
        let old = unsafe costs[origin + span + done]
        unsafe costs[origin + span + done] = cost < old ? cost : old
      }
    }
  }

  /// Fills `hub` with the costs of reaching `node` after the nodes of `set`, layers done so far
  /// as index; says whether any is worth going on from.
  private mutating func gather(
    _ set: Int, to node: Int, _ leastDone: Int, _ refund: Double
  ) -> Bool {
    for index in hubRange { hub[index] = .infinity }
    hubRange = 0..<0
    if set == 0 {
      let link = problem.links[0][node]
      for index in 1..<width { hub[index] = Algebra.join(problem.start[index], link) }
      hubRange = 1..<width
    } else if slots == 1 {
      relax(rows[set], link: problem.links[0][1])
    } else {
      for last in 1...others where set & bit(last) != 0 {
        relax(rows[place(set, last)], link: problem.links[last][node])
      }
    }
    // A little more, so that rounding cannot make it too little.
    let limit = problem.limit + refund + 0.5
    var isReachable = false
    for index in hubRange where hub[index] < .infinity {
      let rest = through[node * width + index]
      if index < leastDone || Algebra.join(hub[index], rest) > limit {
        hub[index] = .infinity
      } else {
        isReachable = true
      }
    }
    return isReachable
  }

  /// Lowers `hub` by the costs of a row and a link.
  private mutating func relax(_ row: Row, link: Double) {
    let range = row.range
    guard row.isThere, !range.isEmpty else { return }
    let start = row.origin
    // SAFETY: `range` lies within the row and within `hub`.
    unsafe costs.withUnsafeBufferPointer { source in
      unsafe hub.withUnsafeMutableBufferPointer { hub in
        for index in range {
          let cost = Algebra.join(unsafe source[start + index], link)
          let old = unsafe hub[index]
          unsafe hub[index] = cost < old ? cost : old
        }
      }
    }
    hubRange =
      hubRange.isEmpty
      ? range
      : min(hubRange.lowerBound, range.lowerBound)..<max(hubRange.upperBound, range.upperBound)
  }

  /// Lets `node` run some layers after what `hub` describes.
  private mutating func extend(_ set: Int, by node: Int, _ refund: Double) {
    let range = hubRange
    let width = width
    var (low, high) = (Int.max, 0)
    // SAFETY: `fresh` has `width` places, the table `width` for each first layer, and first and
    // last layers stay below `width`.
    unsafe fresh.withUnsafeMutableBufferPointer { fresh in
      unsafe problem.ranges[node].withUnsafeBufferPointer { table in
        unsafe reach[node].withUnsafeBufferPointer { reach in
          unsafe hub.withUnsafeBufferPointer { hub in
            for first in range {
              let before = unsafe hub[first]
              let end = unsafe reach[first]
              guard before < .infinity, end > first else { continue }
              let tableRow = first * width
              for last in (first + 1)...end {
                let cost = Algebra.join(before, unsafe table[tableRow + last])
                let old = unsafe fresh[last]
                unsafe fresh[last] = cost < old ? cost : old
              }
              low = min(low, first + 1)
              high = max(high, end + 1)
            }
          }
        }
      }
    }
    guard low < high else { return }
    keep(low..<high, set | bit(node), node, limit: problem.limit + refund - toll(of: node) + 0.5)
  }

  private func toll(of node: Int) -> Double { tolls?.tolls[node] ?? 0 }

  /// Moves those of the new costs that may lead to a plan within the limit to their row.
  private mutating func keep(_ done: Range<Int>, _ set: Int, _ node: Int, limit: Double) {
    var (low, high) = (Int.max, 0)
    let first = slots == 1 ? 0 : node * width
    for index in done where fresh[index] < .infinity {
      if Algebra.join(fresh[index], after[first + index]) > limit {
        fresh[index] = .infinity
      } else {
        (low, high) = (min(low, index), index + 1)
      }
    }
    guard low < high else { return }
    let row = row(at: place(set, node), for: low..<high)
    for index in low..<high {
      costs[row.origin + index] = min(costs[row.origin + index], fresh[index])
      fresh[index] = .infinity
    }
  }

  /// The row at a place, with room for costs of so many layers done; made where there is none.
  ///
  /// Where last nodes are told apart, a row is written once; else room for all is kept.
  private mutating func row(at place: Int, for done: Range<Int>) -> Row {
    var row = rows[place]
    if !row.isThere {
      let kept = slots == 1 ? 0..<width : done
      row.start = Int32(costs.count)
      row.base = Int16(kept.lowerBound)
      row.span = Int16(kept.count)
      costs.append(
        contentsOf: repeatElement(.infinity, count: comparesSubsets ? 2 * kept.count : kept.count))
    }
    row.low = min(row.low, Int16(done.lowerBound))
    row.high = max(row.high, Int16(done.upperBound))
    rows[place] = row
    return row
  }

  /// Lets `node` run the rest and close the ring.
  private func close(_ set: Int, _ node: Int, count: Int, _ finals: inout [Int: Final]) {
    for first in hubRange where hub[first] < .infinity {
      let cost = Algebra.join(hub[first], problem.tails[node][first])
      guard cost <= problem.limit, cost < .infinity else { continue }
      if let best = finals[count], best.value <= cost { continue }
      finals[count] = Final(value: cost, set: set, node: node, cut: first)
    }
  }

  /// Finds the way to a final by looking for costs that join to exactly the value kept.
  private mutating func backtrack(_ final: Final) -> [Stage] {
    let layerCount = problem.layerCount
    guard final.node != 0 else { return [Stage(node: 0, layers: 0..<layerCount)] }
    var stages = [Stage(node: final.node, layers: final.cut..<layerCount)]
    var set = final.set
    var done = final.cut
    while set != 0 {
      let origin = origin(of: set, before: stages[stages.count - 1].node, at: done)
      stages.append(Stage(node: origin.node, layers: origin.first..<done))
      set &= ~bit(origin.node)
      done = origin.first
    }
    stages.append(Stage(node: 0, layers: 0..<done))
    return stages.reversed()
  }

  /// The last node of `set` on the best way to `next` with so many layers done, and its first
  /// layer.
  private mutating func origin(
    of set: Int, before next: Int, at done: Int
  ) -> (node: Int, first: Int) {
    _ = gather(set, to: next, 0, refund(set))
    let value = hub[done]
    for last in 1...others where set & bit(last) != 0 {
      let row = rows[place(set, last)]
      guard row.isThere, row.holds(done) else { continue }
      let target = costs[row.origin + done]
      let link = slots == 1 ? problem.links[0][1] : problem.links[last][next]
      guard target < .infinity, Algebra.join(target, link) == value else { continue }
      // Where all last nodes share a state, only some of them lead to its value.
      let rest = set & ~bit(last)
      guard canExtend(rest, by: last) else { continue }
      guard gather(rest, to: last, 0, refund(rest)) else { continue }
      let table = problem.ranges[last]
      for first in hubRange where first < done && hub[first] < .infinity {
        if Algebra.join(hub[first], table[first * width + done]) == target { return (last, first) }
      }
    }
    preconditionFailure("a state of the search has no origin")
  }
}
