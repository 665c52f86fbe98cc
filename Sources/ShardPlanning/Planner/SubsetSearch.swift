/// Exact search over all subsets of nodes, their orders and all contiguous cuts.
///
/// Dynamic programming over (set of nodes, last node, layers done); where all links cost the
/// same the last node does not matter and is left out of the state. States that cannot lead to
/// a plan within the limit are dropped (`RemainderBound`), and so are those that some of their
/// nodes reach alone at no higher cost: the result for a count of nodes is therefore the best
/// one only where no smaller count has a better one.
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
  private let remainder: RemainderBound?
  /// Whether states with fewer nodes are looked for that cost no more.
  private let comparesSubsets: Bool
  private var rows: [Row]
  /// The costs of all rows by layers done; after each row, as many again, the least costs of
  /// states with some of its nodes, where those are compared.
  private var costs: [Double] = []
  private var bounds: [Double]
  /// Costs of reaching a node, by layers done; infinite outside `hubRange`.
  private var hub: [Double]
  private var hubRange = 0..<0

  /// The states of one set and last node.
  private struct Row {
    /// Where the costs begin, or -1: there are none.
    var start: Int32 = -1
    /// Layers done of the first state that costs less than infinity, and past the last.
    var low: Int32 = .max
    var high: Int32 = 0
  }

  init(_ problem: SearchProblem) {
    self.problem = problem
    width = problem.layerCount + 1
    others = problem.nodeCount - 1
    slots = Self.hasUniformLinks(problem) ? 1 : others
    reach = problem.ranges.map { Self.reach($0, problem) }
    remainder = problem.work.map { RemainderBound($0, problem) }
    comparesSubsets = Algebra.adds && !problem.mustUseAll
    rows = Array(repeating: Row(), count: slots << others)
    bounds = Array(repeating: 0, count: width)
    hub = Array(repeating: .infinity, count: width)
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

  private static func reach(_ table: [Double], _ problem: SearchProblem) -> [Int] {
    let width = problem.layerCount + 1
    return (0..<width).map { first in
      (first..<width).last { last in
        table[first * width + last] < .infinity && table[first * width + last] <= problem.limit
      } ?? first
    }
  }

  /// The best way for each count of nodes that has one.
  mutating func run() -> [Int: SearchResult] {
    var finals: [Int: Final] = [:]
    let isWhole = others == 0 || !problem.mustUseAll
    if isWhole, problem.alone < .infinity, problem.alone <= problem.limit {
      finals[1] = Final(value: problem.alone, set: 0, node: 0, cut: 0)
    }
    let sets = 1 << others
    for set in 0..<(sets - 1) where set == 0 || hasStates(set) {
      if comparesSubsets { dropDominated(set) }
      remainder?.fill(&bounds, set: set)
      for node in 1...others where canExtend(set, by: node) {
        guard gather(set, to: node) else { continue }
        let isFull = set | bit(node) == sets - 1
        if isFull || !problem.mustUseAll {
          close(set, node, count: set.nonzeroBitCount + 2, &finals)
        }
        if !isFull { extend(set, by: node) }
      }
    }
    return finals.mapValues { SearchResult(value: $0.value, stages: backtrack($0)) }
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
    (0..<slots).contains { rows[set * slots + $0].start >= 0 }
  }

  /// Drops what a state reaches at no lower cost than the same state without one of its nodes.
  private mutating func dropDominated(_ set: Int) {
    for slot in 0..<slots {
      let row = rows[set * slots + slot]
      guard row.start >= 0 else { continue }
      let start = Int(row.start)
      for node in 1...others where set & bit(node) != 0 && (slots == 1 || node != slot + 1) {
        let smaller = rows[(set & ~bit(node)) * slots + slot]
        if smaller.start >= 0 { lowerFloor(start, Int(smaller.start)) }
      }
      var range = (low: Int32.max, high: Int32(0))
      for index in Int(row.low)..<max(Int(row.low), Int(row.high)) {
        if costs[start + width + index] <= costs[start + index] {
          costs[start + index] = .infinity
        } else if costs[start + index] < .infinity {
          range = (min(range.low, Int32(index)), Int32(index) + 1)
        }
      }
      (rows[set * slots + slot].low, rows[set * slots + slot].high) = range
    }
  }

  /// Lowers the least costs of fewer nodes in a row by those of a row with fewer nodes.
  private mutating func lowerFloor(_ start: Int, _ smaller: Int) {
    let width = width
    // SAFETY: both rows have twice `width` places.
    unsafe costs.withUnsafeMutableBufferPointer { costs in
      for index in 0..<width {
        let own = unsafe costs[smaller + index]
        let fewer = unsafe costs[smaller + width + index]
        let cost = own < fewer ? own : fewer
        let old = unsafe costs[start + width + index]
        unsafe costs[start + width + index] = cost < old ? cost : old
      }
    }
  }

  /// Fills `hub` with the costs of reaching `node` after the nodes of `set`, layers done so far
  /// as index; says whether any is worth going on from.
  private mutating func gather(_ set: Int, to node: Int) -> Bool {
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
    var isReachable = false
    for index in hubRange where hub[index] < .infinity {
      // With the bound for all nodes outside `set`, of which `node` is one.
      if bounds[index] == .infinity || Algebra.join(hub[index], bounds[index]) > problem.limit {
        hub[index] = .infinity
      } else {
        isReachable = true
      }
    }
    return isReachable
  }

  /// Lowers `hub` by the costs of a row and a link.
  private mutating func relax(_ row: Row, link: Double) {
    guard row.start >= 0, row.low < row.high else { return }
    let range = Int(row.low)..<Int(row.high)
    let start = Int(row.start)
    // SAFETY: `range` lies within the row and within `hub`, which have `width` places.
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
  private mutating func extend(_ set: Int, by node: Int) {
    let (hub, range, reach, width) = (hub, hubRange, reach[node], width)
    let place = place(set | bit(node), node)
    var row = rows[place]
    for first in range where hub[first] < .infinity && reach[first] > first {
      if row.start < 0 {
        row.start = Int32(costs.count)
        costs.append(
          contentsOf: repeatElement(.infinity, count: comparesSubsets ? 2 * width : width))
      }
      row.low = min(row.low, Int32(first) + 1)
      row.high = max(row.high, Int32(reach[first]) + 1)
    }
    guard row.start >= 0 else { return }
    rows[place] = row
    let start = Int(row.start)
    // SAFETY: a state has `width` costs from `start` on and each row of the table `width`; first
    // and last layers stay below `width`.
    unsafe costs.withUnsafeMutableBufferPointer { costs in
      unsafe problem.ranges[node].withUnsafeBufferPointer { table in
        for first in range where hub[first] < .infinity && reach[first] > first {
          let before = hub[first]
          let tableRow = first * width
          for last in (first + 1)...reach[first] {
            let cost = Algebra.join(before, unsafe table[tableRow + last])
            let old = unsafe costs[start + last]
            unsafe costs[start + last] = cost < old ? cost : old
          }
        }
      }
    }
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
    remainder?.fill(&bounds, set: set)
    _ = gather(set, to: next)
    let value = hub[done]
    for last in 1...others where set & bit(last) != 0 {
      let row = rows[place(set, last)]
      guard row.start >= 0 else { continue }
      let target = costs[Int(row.start) + done]
      let link = slots == 1 ? problem.links[0][1] : problem.links[last][next]
      guard target < .infinity, Algebra.join(target, link) == value else { continue }
      // Where all last nodes share a state, only some of them lead to its value.
      let rest = set & ~bit(last)
      guard canExtend(rest, by: last) else { continue }
      remainder?.fill(&bounds, set: rest)
      guard gather(rest, to: last) else { continue }
      let table = problem.ranges[last]
      for first in hubRange where first < done && hub[first] < .infinity {
        if Algebra.join(hub[first], table[first * width + done]) == target { return (last, first) }
      }
    }
    preconditionFailure("a state of the search has no origin")
  }
}
