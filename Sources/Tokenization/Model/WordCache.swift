/// The ids of words seen before: a table in which a new word replaces the old one at its place.
///
/// Only short words with few ids are kept; every entry fills one cache line.
struct WordCache {
  static let maximumWordByteCount = 31
  static let maximumIDCount = 7
  private static let slotBits: UInt64 = 14

  /// The bytes of a word, zero-padded, its length in the last byte.
  struct Key: Equatable {
    var first: UInt64 = 0
    var second: UInt64 = 0
    var third: UInt64 = 0
    var fourth: UInt64 = 0

    @inline(__always)
    init(_ text: borrowing Span<UInt8>, _ start: Int, _ end: Int) {
      let length = end &- start
      first = Self.word(text, start, min(end, start &+ 8))
      if length > 8 { second = Self.word(text, start &+ 8, min(end, start &+ 16)) }
      if length > 16 { third = Self.word(text, start &+ 16, min(end, start &+ 24)) }
      if length > 24 { fourth = Self.word(text, start &+ 24, end) }
      fourth |= UInt64(truncatingIfNeeded: length) << 56
    }

    @inline(__always)
    private static func word(_ text: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> UInt64 {
      var word: UInt64 = 0
      var offset = end
      while offset > start {
        offset &-= 1
        word = word << 8 | UInt64(text[offset])
      }
      return word
    }

    @inline(__always)
    var slot: Int {
      var hash = (first ^ second &* 0x9E37_79B9_7F4A_7C15) &* 0xA076_1D64_78BD_642F
      hash ^= (third ^ fourth &* 0xC2B2_AE3D_27D4_EB4F) &* 0xE703_7ED1_A0B4_28DB
      hash = (hash ^ hash >> 32) &* 0x9E37_79B9_7F4A_7C15
      return Int(truncatingIfNeeded: hash >> (64 - slotBits))
    }
  }

  private struct Slot {
    var key: Key?
    var ids: (Int32, Int32, Int32, Int32, Int32, Int32, Int32) = (0, 0, 0, 0, 0, 0, 0)
    var count: Int32 = 0
  }

  private var slots: [Slot]

  init() { slots = Array(repeating: Slot(), count: 1 << Int(Self.slotBits)) }

  /// Appends the ids of a word that is known.
  @inline(__always)
  func append(_ key: Key, to ids: inout [Int32]) -> Bool {
    let slot = key.slot
    guard slots[slot].key == key else { return false }
    let known = slots[slot].ids
    let count = slots[slot].count
    ids.append(known.0)
    if count > 1 { ids.append(known.1) }
    if count > 2 { ids.append(known.2) }
    if count > 3 { ids.append(known.3) }
    if count > 4 { ids.append(known.4) }
    if count > 5 { ids.append(known.5) }
    if count > 6 { ids.append(known.6) }
    return true
  }

  /// Remembers the ids from `start` on as those of the word.
  mutating func insert(_ key: Key, _ ids: [Int32], from start: Int) {
    let count = ids.count - start
    guard count > 0, count <= Self.maximumIDCount else { return }
    func id(_ index: Int) -> Int32 { index < count ? ids[start + index] : 0 }
    slots[key.slot] = Slot(
      key: key, ids: (id(0), id(1), id(2), id(3), id(4), id(5), id(6)), count: Int32(count))
  }
}
