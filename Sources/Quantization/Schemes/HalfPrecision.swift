/// Conversions between 32-bit and 16-bit floats, rounding to nearest even.
enum HalfPrecision {
  static func float(bfloat16 bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

  static func bfloat16(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    return UInt16(truncatingIfNeeded: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
  }

  static func float(float16 bits: UInt16) -> Float { Float(Float16(bitPattern: bits)) }

  static func float16(_ value: Float) -> UInt16 { Float16(value).bitPattern }
}
