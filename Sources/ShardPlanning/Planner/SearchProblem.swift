/// How costs of consecutive parts join: added up, or the largest counts.
protocol CostAlgebra {
  static func join(_ left: Double, _ right: Double) -> Double
  /// Whether every part makes the whole dearer.
  static var adds: Bool { get }
}

/// Parts run one after another: latency.
enum Additive: CostAlgebra {
  static let adds = true
  @inline(__always) static func join(_ left: Double, _ right: Double) -> Double { left + right }
}

/// Parts run at the same time: the slowest one bounds the rate.
enum Bottleneck: CostAlgebra {
  static let adds = false
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
  /// What is known about layers still to come; nil where nothing is.
  var work: LayerWork?

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

/// How much work each layer is, in a unit that suits all nodes, and what the nodes ask for it.
struct LayerWork: Sendable {
  /// Per layer.
  var amounts: [Double]
  /// Per node: the least cost of a unit of work; 0 where costs do not add up.
  var price: [Double]
  /// The least cost of handing over to one more node.
  var handOver: Double
}

/// A lower bound for what is left of a plan: the work still to be placed goes, in fractions, to
/// the unused nodes with the lowest price, each taking as much as any range it can run holds.
struct RemainderBound: Sendable {
  private let workAfter: [Double]
  private let capacity: [Double]
  private let price: [Double]
  /// Nodes beside the coordinator, cheapest first.
  private let order: [Int]
  private let handOver: Double

  init(_ work: LayerWork, _ problem: SearchProblem) {
    let width = problem.layerCount + 1
    var after = [Double](repeating: 0, count: width)
    for layer in (0..<problem.layerCount).reversed() {
      after[layer] = after[layer + 1] + work.amounts[layer]
    }
    capacity = problem.ranges.map { table in
      var most = 0.0
      for first in 1..<max(1, problem.layerCount) {
        let row = first * width
        guard
          let last = (first..<width).last(where: { last in
            table[row + last] < .infinity && table[row + last] <= problem.limit
          })
        else { continue }
        most = max(most, after[first] - after[last])
      }
      // A little more, so that rounding cannot make it too little.
      return most * (1 + 1e-9)
    }
    workAfter = after
    price = work.price
    handOver = work.handOver
    order = (1..<max(1, problem.nodeCount)).sorted { left, right in
      work.price[left] == work.price[right] ? left < right : work.price[left] < work.price[right]
    }
  }

  /// Fills `bounds[j]` for plans whose nodes so far are in `set`, with layers below `j` done;
  /// infinity where the other nodes cannot run the rest.
  func fill(_ bounds: inout [Double], set: Int) {
    var position = 0
    var filled = (work: 0.0, cost: 0.0)
    func skipUsed() {
      while position < order.count, set & (1 << (order[position] - 1)) != 0 { position += 1 }
    }
    skipUsed()
    // The rest grows as `j` falls, so the nodes are filled once.
    for first in stride(from: workAfter.count - 1, through: 0, by: -1) {
      let work = workAfter[first]
      while position < order.count, filled.work + capacity[order[position]] < work {
        filled.work += capacity[order[position]]
        filled.cost += capacity[order[position]] * price[order[position]]
        position += 1
        skipUsed()
      }
      guard position < order.count else {
        bounds[first] = work > filled.work ? .infinity : handOver + filled.cost * (1 - 1e-6)
        continue
      }
      // A little less than the sum, so that rounding cannot turn it into an overestimate.
      let cost = filled.cost + (work - filled.work) * price[order[position]]
      bounds[first] = handOver + cost * (1 - 1e-6)
    }
  }
}

/// A way through a problem: which node runs which layers, in order.
struct SearchResult: Sendable, Equatable {
  var value: Double
  var stages: [Stage]
}
