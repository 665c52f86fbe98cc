#if _endian(big)
  #error("hidden states travel as little-endian floats; add a conversion for this machine")
#endif

/// Reads numbers from the beginning of a message; every read is checked against its end.
struct PayloadReader {
  private let bytes: [UInt8]
  private(set) var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var remaining: Int { bytes.count - offset }

  mutating func integer<Number: FixedWidthInteger>(_ type: Number.Type) throws(RuntimeFault)
    -> Number
  {
    let size = MemoryLayout<Number>.size
    guard remaining >= size else { throw Self.tooShort }
    var value: Number = 0
    for index in 0..<size {
      value |= Number(truncatingIfNeeded: bytes[offset + index]) << (8 * index)
    }
    offset += size
    return value
  }

  mutating func float() throws(RuntimeFault) -> Float {
    Float(bitPattern: try integer(UInt32.self))
  }

  mutating func double() throws(RuntimeFault) -> Double {
    Double(bitPattern: try integer(UInt64.self))
  }

  /// The rest as 32-bit floats.
  ///
  /// Precondition: `remaining` is a multiple of 4.
  func remainingFloats() -> [Float] {
    let count = remaining / MemoryLayout<Float>.size
    return unsafe [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      unsafe bytes.withUnsafeBytes { source in
        unsafe UnsafeMutableRawBufferPointer(buffer).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: source[offset..<offset + 4 * count]))
      }
      initialized = count
    }
  }

  static var tooShort: RuntimeFault { malformed("it ends too early") }

  static func malformed(_ reason: String) -> RuntimeFault {
    RuntimeFault("malformedMessage", "a message from another node cannot be read: \(reason)")
  }
}

extension [UInt8] {
  mutating func append(little value: some FixedWidthInteger) {
    for shift in stride(from: 0, to: value.bitWidth, by: 8) {
      append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }

  mutating func append(little value: Float) { append(little: value.bitPattern) }

  mutating func append(floats: Span<Float>) {
    unsafe floats.bytes.withUnsafeBytes { unsafe append(contentsOf: $0) }
  }
}
