extension SearchProblem {
  /// The value of a good plan, found quickly: the best one that takes the nodes in one of a few
  /// orders, leaving out some; infinity where none of them fits.
  ///
  /// An upper bound for the exact search.
  /// Complexity: O(N² · L + N · L²) per order.
  func quickValue<Algebra: CostAlgebra>(_ algebra: Algebra.Type, orders: [[Int]]) -> Double {
    quickest(algebra, orders: orders).value
  }

  /// The best of some orders and its value, improved by moving single nodes within it where
  /// there are many.
  func quickOrder<Algebra: CostAlgebra>(
    _ algebra: Algebra.Type, orders: [[Int]]
  ) -> (order: [Int], value: Double) {
    var best = quickest(algebra, orders: orders)
    guard best.order.count > 5 else { return best }
    // The second round finds little more than the first, and a third hardly anything.
    for _ in 0..<2 {
      let before = best.value
      for node in best.order {
        let rest = best.order.filter { $0 != node }
        for place in 0...rest.count {
          var order = rest
          order.insert(node, at: place)
          guard order != best.order, respectsPredecessors(order) else { continue }
          let value = value(algebra, order: order)
          if value < best.value { best = (order, value) }
        }
      }
      if best.value == before { break }
    }
    return best
  }

  private func quickest<Algebra: CostAlgebra>(
    _ algebra: Algebra.Type, orders: [[Int]]
  ) -> (order: [Int], value: Double) {
    var best = (order: orders.first ?? [], value: Double.infinity)
    for order in orders where respectsPredecessors(order) {
      let value = value(algebra, order: order)
      if value < best.value { best = (order, value) }
    }
    if nodeCount == 1 || !mustUseAll { best.value = min(best.value, alone) }
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
          let range = ranges[node][row + last]
          // Where these layers cannot be, more of them cannot either.
          if range == .infinity { break }
          costs[last] = min(costs[last], Algebra.join(hub[first], range))
        }
      }
      reached.append((node, costs))
    }
    return best
  }
}
