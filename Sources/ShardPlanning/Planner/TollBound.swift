/// A lower bound for what is left of a plan whose costs add up.
///
/// Ways may use a node again, but each use costs its toll, and every node that is still unused
/// gives its toll back once. A real way uses no node twice, so it pays no more than it gets back:
/// the cheapest way with tolls, less what is given back, costs no more than any real one. Tolls
/// are raised for the nodes that the cheapest way uses too often, and lowered for the others
/// (Lagrange multipliers, found by subgradient steps). They are whole, so sums stay exact.
/// Complexity: O(N · L · (N + R)) for each round, R being the layers that a node can hold.
/// Source: Held and Karp, "The traveling-salesman problem and minimum spanning trees" (1970).
struct TollBound: Sendable {
  /// By node: what each use of it costs more; 0 for the coordinator.
  private(set) var tolls: [Double]
  /// No plan of two nodes or more costs less.
  private(set) var least = -Double.infinity
  /// `[node × (layerCount + 1) + j]`: layers from `j` on where the node comes next, its toll
  /// counted.
  private(set) var through: [Double]
  /// The same where the node was the last one so far; its way to the next one counts.
  private(set) var after: [Double]
  /// The least of `after` by `j`, for those who do not know which node was the last.
  private(set) var afterAny: [Double]
  private let width: Int

  /// Precondition: there are two nodes or more, and the limit is finite.
  init(_ problem: SearchProblem) {
    width = problem.layerCount + 1
    let count = problem.nodeCount
    tolls = Array(repeating: 0, count: count)
    through = Array(repeating: .infinity, count: count * width)
    after = through
    afterAny = Array(repeating: .infinity, count: width)
    let reach = (0..<count).map { problem.reach($0) }
    var best = tolls
    var pace = 1.0
    var idle = 0
    // Small problems are searched faster than bounded.
    let rounds = min(80, 4 * count)
    for _ in 0..<rounds {
      computeWays(problem, reach)
      guard let start = cheapestStart(problem) else {
        least = .infinity
        return
      }
      let bound = problem.start[start] + after[start] - refund(unused: 1..<count)
      if bound > least {
        (least, best) = (bound, tolls)
        idle = 0
      } else {
        idle += 1
        if idle == 4 { (pace, idle) = (pace / 2, 0) }
        if pace < 0.1 { break }
      }
      guard least <= problem.limit else { break }
      let uses = self.uses(problem, reach, from: start)
      var steps = (0..<count).map { $0 == 0 ? 0 : Double(uses[$0] - 1) }
      // Where a node may be left out, a toll below 0 would reward that.
      if !problem.mustUseAll {
        for node in steps.indices where tolls[node] == 0 && steps[node] < 0 { steps[node] = 0 }
      }
      let length = steps.reduce(0) { $0 + $1 * $1 }
      guard length > 0 else { break }
      let stride = pace * max(1, problem.limit - bound) / length
      for node in 1..<count {
        let toll = (tolls[node] + stride * steps[node]).rounded()
        tolls[node] = problem.mustUseAll ? toll : max(0, toll)
      }
    }
    tolls = best
    computeWays(problem, reach)
    for place in 0..<width {
      for node in 0..<count {
        afterAny[place] = min(afterAny[place], after[node * width + place])
      }
    }
  }

  /// What some nodes give back.
  func refund(unused nodes: some Sequence<Int>) -> Double { nodes.reduce(0) { $0 + tolls[$1] } }

  /// Fills `through` and `after` for the tolls as they are.
  private mutating func computeWays(_ problem: SearchProblem, _ reach: [[Int]]) {
    let count = problem.nodeCount
    let layerCount = problem.layerCount
    let width = width
    for place in stride(from: layerCount - 1, through: 1, by: -1) {
      for node in 1..<count {
        var cost = problem.tails[node][place]
        let row = place * width
        let end = reach[node][place]
        if end > place {
          // SAFETY: both tables have `width` entries for the node and the place, and the farthest
          // end is below `width`.
          unsafe problem.ranges[node].withUnsafeBufferPointer { ranges in
            unsafe after.withUnsafeBufferPointer { after in
              for next in (place + 1)...end {
                let way = unsafe ranges[row + next] + after[node * width + next]
                cost = way < cost ? way : cost
              }
            }
          }
        }
        through[node * width + place] = cost + tolls[node]
      }
      let next = (0..<count).map { through[$0 * width + place] }
      for last in 0..<count {
        let links = problem.links[last]
        var cost = Double.infinity
        for node in 1..<count where node != last {
          let way = links[node] + next[node]
          cost = way < cost ? way : cost
        }
        after[last * width + place] = cost
      }
    }
  }

  /// How many layers the coordinator runs on the cheapest way; nil where there is none.
  private func cheapestStart(_ problem: SearchProblem) -> Int? {
    let places = (1..<problem.layerCount).filter { problem.start[$0] + after[$0] < .infinity }
    return places.min { problem.start[$0] + after[$0] < problem.start[$1] + after[$1] }
  }

  /// How often the cheapest way uses each node.
  private func uses(_ problem: SearchProblem, _ reach: [[Int]], from start: Int) -> [Int] {
    var uses = Array(repeating: 0, count: problem.nodeCount)
    var (last, place) = (0, start)
    while let node = (1..<problem.nodeCount).first(where: {
      $0 != last
        && problem.links[last][$0] + through[$0 * width + place] == after[last * width + place]
    }) {
      uses[node] += 1
      let rest = through[node * width + place] - tolls[node]
      guard rest != problem.tails[node][place], reach[node][place] > place,
        let next = (place + 1...reach[node][place]).first(where: {
          problem.ranges[node][place * width + $0] + after[node * width + $0] == rest
        })
      else { break }
      (last, place) = (node, next)
    }
    return uses
  }
}
