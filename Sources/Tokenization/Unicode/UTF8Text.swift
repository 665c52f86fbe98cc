/// Reading and writing scalars of UTF-8 that is known to be valid.
enum UTF8Text {
  /// The scalar at `offset` and its length in bytes.
  ///
  /// Precondition: `bytes` is valid UTF-8 and a scalar begins at `offset`.
  @inline(__always)
  static func scalar(
    _ bytes: borrowing Span<UInt8>, _ offset: Int
  ) -> (value: UInt32, length: Int) {
    let first = UInt32(bytes[offset])
    if first < 0x80 { return (first, 1) }
    let second = UInt32(bytes[offset + 1] & 0x3F)
    if first < 0xE0 { return ((first & 0x1F) << 6 | second, 2) }
    let third = UInt32(bytes[offset + 2] & 0x3F)
    if first < 0xF0 { return ((first & 0x0F) << 12 | second << 6 | third, 3) }
    let fourth = UInt32(bytes[offset + 3] & 0x3F)
    return ((first & 0x07) << 18 | second << 12 | third << 6 | fourth, 4)
  }

  @inline(__always)
  static func scalar(_ bytes: [UInt8], _ offset: Int) -> (value: UInt32, length: Int) {
    scalar(bytes.span, offset)
  }

  /// The scalar that ends before `offset`.
  static func scalar(_ bytes: [UInt8], before offset: Int) -> (value: UInt32, length: Int) {
    var start = offset - 1
    while bytes[start] & 0xC0 == 0x80 { start -= 1 }
    return (scalar(bytes, start).value, offset - start)
  }

  /// The length of the scalar that begins with this byte.
  @inline(__always)
  static func length(firstByte: UInt8) -> Int {
    firstByte < 0x80 ? 1 : firstByte < 0xE0 ? 2 : firstByte < 0xF0 ? 3 : 4
  }

  static func append(_ scalar: UInt32, to bytes: inout [UInt8]) {
    switch scalar {
    case ..<0x80:
      bytes.append(UInt8(scalar))
    case ..<0x800:
      bytes.append(UInt8(0xC0 | scalar >> 6))
      bytes.append(UInt8(0x80 | scalar & 0x3F))
    case ..<0x10000:
      bytes.append(UInt8(0xE0 | scalar >> 12))
      bytes.append(UInt8(0x80 | scalar >> 6 & 0x3F))
      bytes.append(UInt8(0x80 | scalar & 0x3F))
    default:
      bytes.append(UInt8(0xF0 | scalar >> 18))
      bytes.append(UInt8(0x80 | scalar >> 12 & 0x3F))
      bytes.append(UInt8(0x80 | scalar >> 6 & 0x3F))
      bytes.append(UInt8(0x80 | scalar & 0x3F))
    }
  }

  /// All scalars.
  static func scalars(_ bytes: [UInt8]) -> [UInt32] {
    var scalars: [UInt32] = []
    var offset = 0
    while offset < bytes.count {
      let (value, length) = scalar(bytes, offset)
      scalars.append(value)
      offset += length
    }
    return scalars
  }
}
