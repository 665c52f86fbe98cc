/// Byte strings with their numbers: an open-addressing hash table over one flat buffer.
struct ByteStringTable: Sendable {
  private(set) var bytes: [UInt8] = []
  /// Where each entry begins in `bytes`; one more for the end.
  private(set) var starts: [Int] = [0]
  private var slots: [Int32] = Array(repeating: -1, count: 16)
  /// Differs from process to process, so that no file can be made to collide.
  private let seed = UInt64.random(in: .min ... .max)

  var count: Int { starts.count - 1 }

  mutating func reserve(_ entries: Int, byteCount: Int) {
    bytes.reserveCapacity(byteCount)
    starts.reserveCapacity(entries + 1)
    var size = 16
    while size < entries * 2 { size *= 2 }
    if size > slots.count { rehash(size) }
  }

  subscript(index: Int) -> ArraySlice<UInt8> { bytes[starts[index]..<starts[index + 1]] }

  /// Adds a string that is not there yet; nil where it is.
  mutating func insert(_ string: some Sequence<UInt8>) -> Int? {
    let start = bytes.count
    bytes.append(contentsOf: string)
    if find(bytes.span, start, bytes.count) != nil {
      bytes.removeSubrange(start...)
      return nil
    }
    starts.append(bytes.count)
    let index = count - 1
    if count * 2 > slots.count {
      rehash(slots.count * 2)
    } else {
      place(index)
    }
    return index
  }

  /// The number of the string that stands in `text` from `start` to `end`.
  func find(_ text: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Int? {
    var slot = Int(truncatingIfNeeded: Self.hash(text, start, end, seed)) & (slots.count - 1)
    while true {
      let index = Int(slots[slot])
      if index < 0 { return nil }
      if isEqual(index, text, start, end) { return index }
      slot = (slot + 1) & (slots.count - 1)
    }
  }

  func find(_ string: [UInt8]) -> Int? { find(string.span, 0, string.count) }

  private func isEqual(_ index: Int, _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int)
    -> Bool
  {
    let first = starts[index]
    guard starts[index + 1] - first == end - start else { return false }
    for offset in 0..<(end - start) where bytes[first + offset] != text[start + offset] {
      return false
    }
    return true
  }

  private mutating func rehash(_ size: Int) {
    slots = Array(repeating: -1, count: size)
    for index in 0..<count { place(index) }
  }

  private mutating func place(_ index: Int) {
    let hash = Self.hash(bytes.span, starts[index], starts[index + 1], seed)
    var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
    slots[slot] = Int32(truncatingIfNeeded: index)
  }

  /// A mixing hash: eight bytes a step, finished by two multiplications.
  @inline(__always)
  static func hash(_ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ seed: UInt64)
    -> UInt64
  {
    var hash = seed ^ UInt64(truncatingIfNeeded: end &- start) &* 0x9E37_79B9_7F4A_7C15
    var offset = start
    while offset < end {
      var word: UInt64 = 0
      let stop = min(offset &+ 8, end)
      while offset < stop {
        word = word << 8 | UInt64(text[offset])
        offset &+= 1
      }
      let product = (hash ^ word).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
      hash = product.high ^ product.low &+ 0xE703_7ED1_A0B4_28DB
    }
    return hash ^ hash >> 29
  }
}
