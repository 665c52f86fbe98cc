/// The printable stand-in that byte-level tokenizers write for each byte.
///
/// Source: GPT-2's encoder; visible Latin-1 stands for itself, the rest for U+0100 and on.
enum ByteLevelAlphabet {
  /// The scalar for each byte.
  static let scalars: [UInt32] = {
    var next: UInt32 = 0x100
    return (0..<256).map { (byte: UInt32) in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return byte
      default:
        defer { next += 1 }
        return next
      }
    }
  }()

  /// The byte for each scalar below 0x144; nil for scalars that stand for none.
  private static let bytes: [UInt8?] = {
    var bytes = [UInt8?](repeating: nil, count: 0x144)
    for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar)] = UInt8(byte) }
    return bytes
  }()

  static func byte(_ scalar: UInt32) -> UInt8? {
    scalar < 0x144 ? bytes[Int(scalar)] : nil
  }

  /// Writes bytes as their stand-ins.
  static func encode(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    for byte in bytes { UTF8Text.append(scalars[Int(byte)], to: &result) }
    return result
  }

  /// The bytes that a text stands for; nil where a scalar stands for none.
  static func decode(_ text: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var offset = 0
    while offset < text.count {
      let (scalar, length) = UTF8Text.scalar(text, offset)
      guard let byte = byte(scalar) else { return nil }
      result.append(byte)
      offset += length
    }
    return result
  }
}
