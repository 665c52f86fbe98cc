/// Widening of 16-bit floats and the search for values that are no numbers.
enum FloatScan {
  /// Index of the first NaN or infinity.
  static func firstNotFinite(_ floats: Span<Float>) -> Int? {
    var index = 0
    // Blocks first: the exponents' maximum is found without a branch per element.
    while index + 1024 <= floats.count {
      var largest: UInt32 = 0
      for offset in index..<index + 1024 {
        largest = max(largest, floats[offset].bitPattern & 0x7F80_0000)
      }
      if largest == 0x7F80_0000 { break }
      index += 1024
    }
    while index < floats.count {
      if !floats[index].isFinite { return index }
      index += 1
    }
    return nil
  }

  /// The float whose upper half is `bits`.
  static func bfloat16(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

  /// The value of an IEEE 754 half, exactly.
  static func float16(_ bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let magnitude = UInt32(bits & 0x7FFF)
    guard magnitude < 0x7C00 else {
      return Float(bitPattern: sign | 0x7F80_0000 | (magnitude & 0x3FF) << 13)
    }
    // 2^112 moves the exponent's bias from 15 to 127, subnormals included.
    let value = Float(bitPattern: magnitude << 13) * 0x1p112
    return Float(bitPattern: sign | value.bitPattern)
  }
}
