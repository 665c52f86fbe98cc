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
  /// Ways over more nodes are of no interest.
  var mostNodes = Int.max
  /// How much work each layer is, in some unit: what does not fit anywhere is known early.
  var amounts: [Double]

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
    amounts = Array(repeating: 1, count: layerCount)
  }
}

/// A way through a problem: which node runs which layers, in order.
struct SearchResult: Sendable, Equatable {
  var value: Double
  var stages: [Stage]
}
