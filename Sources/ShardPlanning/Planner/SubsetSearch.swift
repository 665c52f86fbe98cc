/// How costs of consecutive parts join: added up, or the largest counts.
protocol CostAlgebra {
  static func join(_ left: Double, _ right: Double) -> Double
}

/// Parts run one after another: latency.
enum Additive: CostAlgebra {
  @inline(__always) static func join(_ left: Double, _ right: Double) -> Double { left + right }
}

/// Parts run at the same time: the slowest one bounds the rate.
enum Bottleneck: CostAlgebra {
  @inline(__always) static func join(_ left: Double, _ right: Double) -> Double {
    left > right ? left : right
  }
}

/// A choice of nodes, their order and their layers, reduced to tables of costs.
///
/// Costs are whole numbers in `Double`, so sums are exact and equal costs compare equal;
/// infinity means "cannot be".
struct SearchProblem: Sendable {
  let layerCount: Int
  /// `start[j]`: the coordinator (node 0) runs layers `0..<j`.
  var start: [Double]
  /// The coordinator alone runs everything.
  var alone: Double
  /// Per node, `[k × (layerCount + 1) + j]`: the node runs layers `k..<j` in the middle.
  var ranges: [[Double]]
  /// Per node, `[k]`: the node runs the layers from `k` on as the last of the ring.
  var tails: [[Double]]
  /// `[from][to]`.
  var links: [[Double]]
  /// Whether each node must take part.
  var mustUseAll: Bool
  /// A node that must stand before this one, or nil: an equal twin, or a forced order.
  var predecessor: [Int?]
  /// Costs above this are of no interest.
  var limit = Double.infinity

  var nodeCount: Int { ranges.count }

  init(layerCount: Int, nodeCount: Int, mustUseAll: Bool) {
    self.layerCount = layerCount
    self.mustUseAll = mustUseAll
    let width = layerCount + 1
    start = Array(repeating: .infinity, count: width)
    alone = .infinity
    ranges = Array(
      repeating: Array(repeating: .infinity, count: width * width), count: nodeCount)
    tails = Array(repeating: Array(repeating: .infinity, count: width), count: nodeCount)
    links = Array(repeating: Array(repeating: 0, count: nodeCount), count: nodeCount)
    predecessor = Array(repeating: nil, count: nodeCount)
  }
}

/// A way through a problem: which node runs which layers, in order.
struct SearchResult: Sendable, Equatable {
  var value: Double
  var stages: [Stage]
}

/// Exact search over all subsets of nodes, their orders and all contiguous cuts.
///
/// Dynamic programming over (set of nodes, last node, layers done); where all links cost the
/// same the last node does not matter and is left out of the state.
/// Complexity: O(2^(N−1) · N · (L² + N·L)) at most for N nodes and L layers, far less where
/// memory limits the ranges or nodes are equal; 2^(N−1) · (N−1) · (L+1) doubles of memory.
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
  private var states: [Double]
  private var hub: [Double]

  init(_ problem: SearchProblem) {
    self.problem = problem
    width = problem.layerCount + 1
    others = problem.nodeCount - 1
    slots = Self.hasUniformLinks(problem) ? min(1, others) : others
    reach = problem.ranges.map { Self.reach($0, width: problem.layerCount + 1) }
    states = Array(repeating: .infinity, count: slots * width << others)
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

  private static func reach(_ table: [Double], width: Int) -> [Int] {
    (0..<width).map { first in
      var last = width - 1
      while last > first, table[first * width + last] == .infinity { last -= 1 }
      return last
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
    for set in 0..<(sets - 1) {
      for node in 1...others where canExtend(set, by: node) {
        guard gather(set, to: node) else { continue }
        let isFull = set | bit(node) == sets - 1
        if isFull || !problem.mustUseAll {
          close(set, node, count: set.nonzeroBitCount + 2, &finals)
        }
        if !isFull { extend(set, by: node) }
      }
    }
    return finals.mapValues { final in
      SearchResult(value: final.value, stages: backtrack(final))
    }
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

  /// Where the costs of a state begin in `states`.
  private func offset(_ set: Int, _ last: Int) -> Int {
    (set * slots + (slots == 1 ? 0 : last - 1)) * width
  }

  /// Fills `hub` with the costs of reaching `node` after the nodes of `set`, layers done so far
  /// as index; says whether any is finite.
  private mutating func gather(_ set: Int, to node: Int) -> Bool {
    for index in 0..<width { hub[index] = .infinity }
    if set == 0 {
      for index in 1..<width {
        hub[index] = Algebra.join(problem.start[index], problem.links[0][node])
      }
    } else if slots == 1 {
      let base = offset(set, 0)
      let link = problem.links[0][1]
      for index in 1..<width { hub[index] = Algebra.join(states[base + index], link) }
    } else {
      for last in 1...others where set & bit(last) != 0 {
        let base = offset(set, last)
        Self.relax(&hub, states, from: base, link: problem.links[last][node])
      }
    }
    var isReachable = false
    for index in 1..<width {
      if hub[index] > problem.limit { hub[index] = .infinity }
      if hub[index] < .infinity { isReachable = true }
    }
    return isReachable
  }

  private static func relax(
    _ target: inout [Double], _ states: [Double], from base: Int, link: Double
  ) {
    // SAFETY: `base` comes from `offset`, so as many states follow it as `target` has.
    unsafe states.withUnsafeBufferPointer { source in
      unsafe target.withUnsafeMutableBufferPointer { target in
        for index in 1..<target.count {
          let cost = Algebra.join(unsafe source[base + index], link)
          let old = unsafe target[index]
          unsafe target[index] = cost < old ? cost : old
        }
      }
    }
  }

  /// Lets `node` run some layers after what `hub` describes.
  private mutating func extend(_ set: Int, by node: Int) {
    let base = offset(set | bit(node), node)
    let (width, hub, reach) = (width, hub, reach[node])
    // SAFETY: both tables have `width` entries from the row's start on, and first and last
    // layers stay below `width`.
    unsafe states.withUnsafeMutableBufferPointer { states in
      unsafe problem.ranges[node].withUnsafeBufferPointer { table in
        for first in 1..<width where hub[first] < .infinity {
          let before = hub[first]
          let row = first * width
          let end = reach[first]
          guard end > first else { continue }
          for last in (first + 1)...end {
            let cost = Algebra.join(before, unsafe table[row + last])
            let old = unsafe states[base + last]
            unsafe states[base + last] = cost < old ? cost : old
          }
        }
      }
    }
  }

  /// Lets `node` run the rest and close the ring.
  private func close(_ set: Int, _ node: Int, count: Int, _ finals: inout [Int: Final]) {
    for first in 1..<width where hub[first] < .infinity {
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
    var next = final.node
    var done = final.cut
    while set != 0 {
      let value = hubValue(set, to: next, at: done)
      let last = predecessor(of: next, in: set, at: done, value: value)
      let target = slots == 1 ? states[offset(set, 0) + done] : states[offset(set, last) + done]
      set &= ~bit(last)
      _ = gather(set, to: last)
      let table = problem.ranges[last]
      let first =
        (1..<done).first { first in
          hub[first] < .infinity && Algebra.join(hub[first], table[first * width + done]) == target
        } ?? (done - 1)
      stages.append(Stage(node: last, layers: first..<done))
      next = last
      done = first
    }
    stages.append(Stage(node: 0, layers: 0..<done))
    return stages.reversed()
  }

  private mutating func hubValue(_ set: Int, to node: Int, at done: Int) -> Double {
    _ = gather(set, to: node)
    return hub[done]
  }

  /// The last node of `set` on the best way to `next` with so many layers done.
  private mutating func predecessor(
    of next: Int, in set: Int, at done: Int, value: Double
  ) -> Int {
    for last in 1...others where set & bit(last) != 0 {
      if slots > 1 {
        let cost = states[offset(set, last) + done]
        if cost < .infinity, Algebra.join(cost, problem.links[last][next]) == value { return last }
        continue
      }
      // All last nodes share one state: find one from which its value follows.
      let rest = set & ~bit(last)
      guard canExtend(rest, by: last) else { continue }
      let target = states[offset(set, 0) + done]
      guard gather(rest, to: last) else { continue }
      let table = problem.ranges[last]
      let follows = (1..<done).contains { first in
        hub[first] < .infinity && Algebra.join(hub[first], table[first * width + done]) == target
      }
      if follows { return last }
    }
    preconditionFailure("a state of the search has no origin")
  }
}
