/// The merges of a byte-pair model: two symbols to their rank and the symbol they become.
struct MergeTable: Sendable {
  struct Merge: Sendable {
    /// Lower goes first.
    var rank: UInt32
    var result: Int32
  }

  private struct Slot: Sendable {
    var key: UInt64
    var merge: Merge
  }

  private static let free = UInt64.max
  private var slots: [Slot]
  private var shift: UInt64
  private(set) var count = 0
  private let multiplier = UInt64.random(in: .min ... .max) | 1

  init(capacity: Int) {
    var bits: UInt64 = 4
    while 1 << bits < capacity * 2 { bits += 1 }
    slots = Self.emptySlots(1 << Int(bits))
    shift = 64 - bits
  }

  private static func emptySlots(_ count: Int) -> [Slot] {
    Array(repeating: Slot(key: free, merge: Merge(rank: .max, result: -1)), count: count)
  }

  @inline(__always)
  private func firstSlot(_ key: UInt64) -> Int {
    Int(truncatingIfNeeded: ((key ^ key >> 31) &* multiplier) >> shift)
  }

  /// Adds a merge; of two for the same pair the later one holds.
  mutating func insert(_ left: Int32, _ right: Int32, _ merge: Merge) {
    if (count + 1) * 2 > slots.count { grow() }
    let key = Self.key(left, right)
    var slot = firstSlot(key)
    while slots[slot].key != Self.free, slots[slot].key != key {
      slot = (slot + 1) & (slots.count - 1)
    }
    if slots[slot].key == Self.free { count += 1 }
    slots[slot] = Slot(key: key, merge: merge)
  }

  private mutating func grow() {
    let old = slots
    slots = Self.emptySlots(old.count * 2)
    shift -= 1
    for entry in old where entry.key != Self.free {
      var slot = firstSlot(entry.key)
      while slots[slot].key != Self.free { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = entry
    }
  }

  @inline(__always)
  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  @inline(__always)
  func find(_ left: Int32, _ right: Int32) -> Merge? {
    let key = Self.key(left, right)
    var slot = firstSlot(key)
    while true {
      let entry = slots[slot]
      if entry.key == key { return entry.merge }
      if entry.key == Self.free { return nil }
      slot = (slot + 1) & (slots.count - 1)
    }
  }
}
