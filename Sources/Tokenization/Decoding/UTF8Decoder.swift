/// Turns bytes into text as they come; what is no UTF-8 becomes U+FFFD, one for each maximal
/// part of a character.
///
/// Source: the Unicode Standard, chapter 3, "U+FFFD substitution of maximal subparts".
struct UTF8Decoder: Sendable {
  /// The bytes of a character that is not complete.
  private var pending: [UInt8] = []
  private var missing = 0

  static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]

  /// Appends the text of the bytes, as far as it is certain.
  mutating func decode(_ bytes: some Sequence<UInt8>, into text: inout [UInt8]) {
    for byte in bytes {
      if missing > 0 {
        if Self.continues(pending, byte) {
          pending.append(byte)
          missing -= 1
          if missing == 0 {
            text.append(contentsOf: pending)
            pending.removeAll(keepingCapacity: true)
          }
          continue
        }
        finish(into: &text)
      }
      switch byte {
      case ..<0x80: text.append(byte)
      case 0xC2...0xDF: begin(byte, 1)
      case 0xE0...0xEF: begin(byte, 2)
      case 0xF0...0xF4: begin(byte, 3)
      default: text.append(contentsOf: Self.replacement)
      }
    }
  }

  private mutating func begin(_ byte: UInt8, _ following: Int) {
    pending.append(byte)
    missing = following
  }

  /// Whether a byte may come next in a character that began with these bytes.
  private static func continues(_ pending: [UInt8], _ byte: UInt8) -> Bool {
    guard pending.count == 1 else { return byte & 0xC0 == 0x80 }
    switch pending[0] {
    case 0xE0: return 0xA0...0xBF ~= byte
    case 0xED: return 0x80...0x9F ~= byte
    case 0xF0: return 0x90...0xBF ~= byte
    case 0xF4: return 0x80...0x8F ~= byte
    default: return byte & 0xC0 == 0x80
    }
  }

  /// Appends what stands for an incomplete character at the end.
  mutating func finish(into text: inout [UInt8]) {
    if missing > 0 { text.append(contentsOf: Self.replacement) }
    pending.removeAll(keepingCapacity: true)
    missing = 0
  }

  /// Whether the bytes are UTF-8 as a whole.
  static func isValid(_ bytes: [UInt8]) -> Bool {
    String(validating: bytes, as: UTF8.self) != nil
  }
}
