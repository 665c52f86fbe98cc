/// Byte strings by prefix.
struct ByteTrie: Sendable {
  /// Children, by node and byte.
  private var children: [UInt64: Int32] = [:]
  /// The value at each node; -1 for none.
  private var values: [Int32] = [-1]
  private var canBegin = [Bool](repeating: false, count: 256)

  var isEmpty: Bool { values.count == 1 }

  /// Sets the value of a string; the last one holds.
  mutating func insert(_ string: some Sequence<UInt8>, value: Int32) {
    var node: Int32 = 0
    for byte in string {
      if node == 0 { canBegin[Int(byte)] = true }
      let key = UInt64(node) << 8 | UInt64(byte)
      if let child = children[key] {
        node = child
      } else {
        let child = Int32(values.count)
        children[key] = child
        values.append(-1)
        node = child
      }
    }
    values[Int(node)] = value
  }

  /// Whether some string begins with this byte.
  @inline(__always)
  func canBegin(_ byte: UInt8) -> Bool { canBegin[Int(byte)] }

  /// The longest string that begins at `start`.
  func longestMatch(
    _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int
  ) -> (length: Int, value: Int)? {
    var best: (length: Int, value: Int)?
    forEachMatch(text, start, end) { best = ($0, $1) }
    return best
  }

  /// Hands length and value of every string that begins at `start` to the body, shortest first.
  @inline(__always)
  func forEachMatch(
    _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ body: (Int, Int) -> Void
  ) {
    guard start < end, canBegin[Int(text[start])] else { return }
    var node: Int32 = 0
    for offset in start..<end {
      guard let child = children[UInt64(node) << 8 | UInt64(text[offset])] else { break }
      node = child
      let value = values[Int(node)]
      if value >= 0 { body(offset + 1 - start, Int(value)) }
    }
  }
}
