/// How much work the layers are, and what the nodes ask for it.
struct LayerWork: Sendable {
  /// One kind of work, in a unit that suits all nodes.
  struct Kind: Sendable {
    /// Per layer.
    var amounts: [Double]
    /// Per node: the least cost of a unit; 0 where costs do not add up.
    var price: [Double]
  }

  /// Ways to see the layers' costs: in each, the kinds together cost at most what a layer costs.
  var views: [[Kind]]
  /// Per node: the least cost of taking part at all beside the way there; 0 where costs do not
  /// add up.
  var entry: [Double]
  /// Per node: the least cost of a way there.
  var arrival: [Double]
  /// Per node: what being the last of the ring costs at least.
  var ending: [Double]
}

/// A lower bound for what is left of a plan: the work still to be placed goes, in fractions, to
/// the unused nodes with the lowest price, each taking as much as any range it can run holds.
///
/// What a node costs in any case is spread over the most work it can take, unless all nodes must
/// take part: then it counts in full.
struct RemainderBound: Sendable {
  private struct Knapsack: Sendable {
    let workAfter: [Double]
    let capacity: [Double]
    let price: [Double]
    /// Nodes beside the coordinator, cheapest first.
    let order: [Int]
  }

  private let views: [[Knapsack]]
  private let fixed: [Double]
  private let ending: [Double]
  private let countsAllNodes: Bool
  private var sums: [Double]

  init(_ work: LayerWork, _ problem: SearchProblem) {
    let fixed = zip(work.entry, work.arrival).map { $0 + $1 }
    let reach = problem.ranges.indices.map { node in
      // Where no way leads to a node, it takes nothing.
      fixed[node] < .infinity ? problem.reach(node) : Array(0...problem.layerCount)
    }
    views = work.views.map { kinds in
      kinds.enumerated().map { index, kind in
        let spread = index == 0 && !problem.mustUseAll
        return Self.knapsack(kind, reach, spreading: spread ? fixed : nil)
      }
    }
    self.fixed = fixed
    ending = work.ending
    countsAllNodes = problem.mustUseAll
    sums = Array(repeating: 0, count: problem.layerCount + 1)
  }

  private static func knapsack(
    _ kind: LayerWork.Kind, _ reach: [[Int]], spreading fixed: [Double]?
  ) -> Knapsack {
    var after = [0.0]
    for amount in kind.amounts.reversed() { after.append(after[after.count - 1] + amount) }
    after.reverse()
    let capacity = reach.map { reach in
      let most = reach.indices.dropFirst().map { after[$0] - after[reach[$0]] }.max() ?? 0
      // A little more, so that rounding cannot make it too little.
      return most * (1 + 1e-9)
    }
    let price = kind.price.indices.map { node in
      guard let fixed, capacity[node] > 0 else { return kind.price[node] }
      return kind.price[node] + fixed[node] / capacity[node]
    }
    let order = (1..<max(1, price.count)).sorted { left, right in
      price[left] == price[right] ? left < right : price[left] < price[right]
    }
    return Knapsack(workAfter: after, capacity: capacity, price: price, order: order)
  }

  /// Fills `bounds[j]` for plans whose nodes so far are in `set`, with layers below `j` done;
  /// infinity where the other nodes cannot run the rest. The way to the next node counts too.
  ///
  /// - Parameter range: the places that are wanted.
  mutating func fill(_ bounds: inout [Double], set: Int, range: Range<Int>) {
    var last = Double.infinity
    var inAnyCase = 0.0
    for node in 1..<max(1, ending.count) where set & (1 << (node - 1)) == 0 {
      last = min(last, ending[node])
      if countsAllNodes { inAnyCase += fixed[node] }
    }
    for (index, view) in views.enumerated() {
      for place in range { sums[place] = last + inAnyCase }
      for knapsack in view { Self.add(knapsack, to: &sums, set: set, range: range) }
      // A little less than the sum, so that rounding cannot turn it into an overestimate.
      for place in range {
        let bound = sums[place] * (1 - 1e-6)
        bounds[place] = index == 0 ? bound : max(bounds[place], bound)
      }
    }
  }

  private static func add(
    _ knapsack: Knapsack, to bounds: inout [Double], set: Int, range: Range<Int>
  ) {
    let order = knapsack.order
    var position = 0
    var filled = (work: 0.0, cost: 0.0)
    func skipUsed() {
      while position < order.count, set & (1 << (order[position] - 1)) != 0 { position += 1 }
    }
    skipUsed()
    // The rest grows as the place falls, so the nodes are filled once.
    for first in range.reversed() {
      let work = knapsack.workAfter[first]
      while position < order.count,
        filled.work + knapsack.capacity[order[position]] < work
      {
        let node = order[position]
        filled.work += knapsack.capacity[node]
        filled.cost += knapsack.capacity[node] * knapsack.price[node]
        position += 1
        skipUsed()
      }
      if position < order.count {
        bounds[first] += filled.cost + (work - filled.work) * knapsack.price[order[position]]
      } else {
        bounds[first] = work > filled.work ? .infinity : bounds[first] + filled.cost
      }
    }
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
