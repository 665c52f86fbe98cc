import CKernels

extension QuantizationScheme {
  /// Makes room for the three planes of a block scheme and lets `body` fill them.
  func encodeBlocks(
    _ rows: Span<Float>, rowCount: Int, columns: Int, into planes: inout [[UInt8]],
    _ body: (
      _ rows: UnsafePointer<Float>, _ rowScales: UnsafeMutablePointer<Float>,
      _ blockScales: UnsafeMutablePointer<UInt8>, _ codes: UnsafeMutablePointer<UInt8>
    ) -> Void
  ) {
    precondition(
      rows.count == rowCount * columns,
      "\(rowCount) rows of \(columns) are not \(rows.count) floats")
    let layouts = self.planes(rows: rowCount, columns: columns)
    var rowScales = [Float](repeating: 0, count: rowCount)
    var blockScales = [UInt8](repeating: 0, count: layouts[1].byteCount)
    var codes = [UInt8](repeating: 0, count: layouts[2].byteCount)
    guard rowCount > 0, columns > 0 else {
      planes = [[], blockScales, codes]
      return
    }
    unsafe rows.withUnsafeBufferPointer { rows in
      unsafe rowScales.withUnsafeMutableBufferPointer { rowScales in
        unsafe blockScales.withUnsafeMutableBufferPointer { blockScales in
          unsafe codes.withUnsafeMutableBufferPointer { codes in
            unsafe body(
              rows.baseAddress.unsafelyUnwrapped, rowScales.baseAddress.unsafelyUnwrapped,
              blockScales.baseAddress.unsafelyUnwrapped, codes.baseAddress.unsafelyUnwrapped)
          }
        }
      }
    }
    planes = [littleEndianBytes(rowScales), blockScales, codes]
  }
}

/// Floats as little-endian bytes.
func littleEndianBytes(_ floats: [Float]) -> [UInt8] {
  var bytes: [UInt8] = []
  bytes.reserveCapacity(floats.count * 4)
  for float in floats {
    let bits = float.bitPattern
    for shift in [0, 8, 16, 24] as [UInt32] {
      bytes.append(UInt8(truncatingIfNeeded: bits >> shift))
    }
  }
  return bytes
}

/// The float in bytes 4 · index to 4 · index + 3.
func littleEndianFloat(_ bytes: [UInt8], at index: Int) -> Float {
  var bits: UInt32 = 0
  for offset in 0..<4 { bits |= UInt32(bytes[4 * index + offset]) << UInt32(8 * offset) }
  return Float(bitPattern: bits)
}
