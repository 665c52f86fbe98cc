/// Where text that marks spaces with U+2581 falls into parts that merges never join, so that a
/// long text need not be merged as one word.
///
/// A part may end before a mark unless some merge has a right side that begins with one and a
/// left side that ends with the scalar before it.
struct MetaspaceBoundary: Sendable {
  private let isOn: Bool
  /// Last scalars of the left sides of merges whose right side begins with the mark.
  private let joining: Set<UInt32>
  private let joinsMarks: Bool

  static let mark: UInt32 = 0x2581
  static let markBytes: [UInt8] = [0xE2, 0x96, 0x81]

  /// No boundary anywhere.
  static let none = MetaspaceBoundary(isOn: false, joining: [])

  init(isOn: Bool, joining: Set<UInt32>) {
    self.isOn = isOn
    joinsMarks = joining.contains(Self.mark)
    self.joining = joining.subtracting([Self.mark])
  }

  /// The end of the part that begins at `start`.
  func next(_ text: borrowing Span<UInt8>, after start: Int, _ end: Int) -> Int {
    guard isOn else { return end }
    var offset = start &+ 1
    while offset &+ 2 < end {
      guard text[offset] == 0xE2, text[offset &+ 1] == 0x96, text[offset &+ 2] == 0x81 else {
        offset &+= 1
        continue
      }
      if isBoundary(text, start, offset) { return offset }
      offset &+= 3
    }
    return end
  }

  private func isBoundary(_ text: borrowing Span<UInt8>, _ start: Int, _ offset: Int) -> Bool {
    if offset - start >= 3, text[offset - 3] == 0xE2, text[offset - 2] == 0x96,
      text[offset - 1] == 0x81
    {
      return !joinsMarks
    }
    if joining.isEmpty { return true }
    var previous = offset - 1
    while text[previous] & 0xC0 == 0x80 { previous -= 1 }
    return !joining.contains(UTF8Text.scalar(text, previous).value)
  }
}
