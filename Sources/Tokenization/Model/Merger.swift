/// Merges the symbols of a word: always the pair of the lowest rank, of equal ones the leftmost.
///
/// Holds the working memory, so that a text of many words allocates once.
struct Merger {
  /// Up to this many symbols, looking at all ranks after each merge is the fastest way.
  private static let shortWord = 48

  private var ranks: [UInt32] = Array(repeating: .max, count: shortWord)
  private var results: [Int32] = Array(repeating: -1, count: shortWord)
  private var heap = MergeHeap()
  private var previous: [Int32] = []
  private var following: [Int32] = []

  /// Merges the symbols from `start` to the end in place.
  mutating func merge(_ symbols: inout [Int32], from start: Int, _ table: MergeTable) {
    let count = symbols.count - start
    if count < 2 { return }
    if count <= Self.shortWord {
      mergeShort(&symbols, start, table)
    } else {
      mergeLong(&symbols, start, table) { _, _, _ in }
    }
  }

  private mutating func mergeShort(_ symbols: inout [Int32], _ start: Int, _ table: MergeTable) {
    // `ranks[i]` belongs to the pair of symbols i and i + 1.
    var last = symbols.count - start - 1
    for index in 0..<last { look(symbols, start, index, table) }
    while last > 0 {
      var best = 0
      var rank = ranks[0]
      for index in 1..<max(1, last) where ranks[index] < rank {
        rank = ranks[index]
        best = index
      }
      if rank == .max { break }
      symbols[start + best] = results[best]
      last -= 1
      for index in (best + 1)..<max(best + 1, last + 1) {
        symbols[start + index] = symbols[start + index + 1]
        ranks[index - 1] = ranks[index]
        results[index - 1] = results[index]
      }
      if best > 0 { look(symbols, start, best - 1, table) }
      if best < last { look(symbols, start, best, table) }
    }
    symbols.removeSubrange((start + last + 1)...)
  }

  @inline(__always)
  private mutating func look(
    _ symbols: [Int32], _ start: Int, _ index: Int, _ table: MergeTable
  ) {
    if let merge = table.find(symbols[start + index], symbols[start + index + 1]) {
      ranks[index] = merge.rank
      results[index] = merge.result
    } else {
      ranks[index] = .max
    }
  }

  /// Merges with a heap of pairs.
  ///
  /// - Parameter found: called with every pair that could merge, as it is found.
  mutating func mergeLong(
    _ symbols: inout [Int32], _ start: Int, _ table: MergeTable,
    found: (_ left: Int32, _ right: Int32, _ union: Int32) -> Void
  ) {
    let count = symbols.count - start
    previous = (0..<count).map { Int32(truncatingIfNeeded: $0 - 1) }
    following = (0..<count).map { Int32(truncatingIfNeeded: $0 + 1 == count ? -1 : $0 + 1) }
    heap.removeAll()
    func push(_ left: Int, _ right: Int) {
      guard let merge = table.find(symbols[start + left], symbols[start + right]) else { return }
      found(symbols[start + left], symbols[start + right], merge.result)
      heap.push(rank: merge.rank, place: left)
    }
    for index in 0..<max(0, count - 1) { push(index, index + 1) }
    while let (rank, place) = heap.pop() {
      // What was merged away has no follower; what changed has another rank.
      let next = Int(following[place])
      guard next >= 0, symbols[start + place] >= 0,
        let merge = table.find(symbols[start + place], symbols[start + next]), merge.rank == rank
      else { continue }
      symbols[start + place] = merge.result
      symbols[start + next] = -1
      let after = Int(following[next])
      following[place] = Int32(truncatingIfNeeded: after)
      following[next] = -1
      if after >= 0 { previous[after] = Int32(truncatingIfNeeded: place) }
      let before = Int(previous[place])
      if before >= 0 { push(before, place) }
      if after >= 0 { push(place, after) }
    }
    var written = start
    for index in start..<symbols.count where symbols[index] >= 0 {
      symbols[written] = symbols[index]
      written += 1
    }
    symbols.removeSubrange(written...)
  }
}

/// A binary heap of pairs by rank, then place.
private struct MergeHeap {
  private var keys: [UInt64] = []

  mutating func removeAll() { keys.removeAll(keepingCapacity: true) }

  mutating func push(rank: UInt32, place: Int) {
    var index = keys.count
    let key = UInt64(rank) << 32 | UInt64(place)
    keys.append(key)
    while index > 0 {
      let parent = (index - 1) / 2
      if keys[parent] <= key { break }
      keys[index] = keys[parent]
      index = parent
    }
    keys[index] = key
  }

  mutating func pop() -> (rank: UInt32, place: Int)? {
    guard let top = keys.first, let key = keys.popLast() else { return nil }
    if !keys.isEmpty {
      var index = 0
      while true {
        var child = 2 * index + 1
        if child >= keys.count { break }
        if child + 1 < keys.count, keys[child + 1] < keys[child] { child += 1 }
        if keys[child] >= key { break }
        keys[index] = keys[child]
        index = child
      }
      keys[index] = key
    }
    return (UInt32(truncatingIfNeeded: top >> 32), Int(top & 0xFFFF_FFFF))
  }
}
