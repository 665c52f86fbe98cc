extension SearchProblem {
  /// The value of a good plan, found quickly: the best one that takes the nodes in one of a few
  /// orders, leaving out some; infinity where none of them fits.
  ///
  /// An upper bound for the exact search.
  /// Complexity: O(N² · L²) per order.
  func quickValue<Algebra: CostAlgebra>(_ algebra: Algebra.Type, orders: [[Int]]) -> Double {
    var best = nodeCount == 1 || !mustUseAll ? alone : .infinity
    for order in orders where respectsPredecessors(order) {
      best = min(best, value(algebra, order: order))
    }
    return best
  }

  private func respectsPredecessors(_ order: [Int]) -> Bool {
    order.enumerated().allSatisfy { position, node in
      guard let before = predecessor[node], before > 0 else { return true }
      return order[..<position].contains(before)
    }
  }

  private func value<Algebra: CostAlgebra>(_ algebra: Algebra.Type, order: [Int]) -> Double {
    let width = layerCount + 1
    // Costs with each node as the last so far; the coordinator comes before all.
    var reached: [(node: Int, costs: [Double])] = [(0, start)]
    var best = Double.infinity
    for (position, node) in order.enumerated() {
      var hub = [Double](repeating: .infinity, count: width)
      let sources = mustUseAll ? reached.suffix(1) : reached[...]
      for source in sources {
        let link = links[source.node][node]
        for done in 1..<width {
          hub[done] = min(hub[done], Algebra.join(source.costs[done], link))
        }
      }
      var costs = [Double](repeating: .infinity, count: width)
      for first in 1..<width where hub[first] < .infinity {
        if !mustUseAll || position == order.count - 1 {
          best = min(best, Algebra.join(hub[first], tails[node][first]))
        }
        let row = first * width
        guard first < layerCount else { continue }
        for last in (first + 1)...layerCount {
          costs[last] = min(costs[last], Algebra.join(hub[first], ranges[node][row + last]))
        }
      }
      reached.append((node, costs))
    }
    return best
  }
}
