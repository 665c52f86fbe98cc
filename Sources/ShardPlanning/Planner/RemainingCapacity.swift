/// How much of the layers the nodes that are still unused can hold at most, each as much as any
/// range that it can run.
struct RemainingCapacity: Sendable {
  /// The work of the layers from each on.
  private let workAfter: [Double]
  /// By node.
  private let capacity: [Double]

  /// - Parameter amounts: the work of each layer, in any unit.
  init(_ amounts: [Double], _ problem: SearchProblem) {
    var after = [0.0]
    for amount in amounts.reversed() { after.append(after[after.count - 1] + amount) }
    after.reverse()
    workAfter = after
    capacity = problem.ranges.indices.map { node in
      // Where no way leads to a node, it takes nothing.
      let isReachable = problem.links.indices.contains {
        $0 != node && problem.links[$0][node] < .infinity
      }
      guard isReachable else { return 0 }
      let reach = problem.reach(node)
      let most = reach.indices.dropLast().map { after[$0] - after[reach[$0]] }.max() ?? 0
      // A little more, so that rounding cannot make it too little.
      return most * (1 + 1e-9)
    }
  }

  /// The least number of layers that must be done where the nodes of a set are used.
  func leastDone(_ set: Int) -> Int {
    var most = 0.0
    for node in 1..<max(1, capacity.count) where set & (1 << (node - 1)) == 0 {
      most += capacity[node]
    }
    return workAfter.firstIndex { $0 <= most } ?? workAfter.count
  }
}

extension SearchProblem {
  /// Per first layer: the farthest end of a range that a node can run within the limit.
  func reach(_ node: Int) -> [Int] {
    let width = layerCount + 1
    let table = ranges[node]
    return (0..<width).map { first in
      (first..<width).last { last in
        table[first * width + last] < .infinity && table[first * width + last] <= limit
      } ?? first
    }
  }
}
