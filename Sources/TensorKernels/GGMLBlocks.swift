import CKernels

/// Rows of weights as ggml's blocks, and back.
public enum GGMLBlocks {
  /// The values of whole rows.
  ///
  /// Shapes: `bytes` holds `rowCount` rows of `format`, `floats` takes `rowCount` × `columns`.
  /// Precondition: `format` is one of ggml's.
  public static func decode(
    _ format: WeightFormat, _ bytes: RawSpan, rowCount: Int, columns: Int,
    into floats: inout MutableSpan<Float>
  ) {
    let perRow = check(format, bytes.byteCount, floats.count, rowCount, columns)
    guard rowCount > 0, columns > 0 else { return }
    unsafe bytes.withUnsafeBytes { source in
      unsafe floats.withUnsafeMutableBufferPointer { target in
        let from = unsafe source.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)
        let to = unsafe target.baseAddress.unsafelyUnwrapped
        for row in 0..<rowCount {
          unsafe ck_ggml_decode_row(
            format.index, from + row * perRow, columns, to + row * columns)
        }
      }
    }
  }

  /// Whole rows as blocks; columns that fill the last block up count as zero.
  ///
  /// Precondition: `format` is one of ggml's, all floats are finite.
  public static func encode(
    _ format: WeightFormat, _ floats: Span<Float>, rowCount: Int, columns: Int,
    into bytes: inout MutableRawSpan
  ) {
    let perRow = check(format, bytes.byteCount, floats.count, rowCount, columns)
    guard rowCount > 0, columns > 0 else { return }
    unsafe floats.withUnsafeBufferPointer { source in
      unsafe bytes.withUnsafeMutableBytes { target in
        let from = unsafe source.baseAddress.unsafelyUnwrapped
        let to = unsafe target.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)
        for row in 0..<rowCount {
          unsafe ck_ggml_encode_row(
            format.index, from + row * columns, columns, to + row * perRow)
        }
      }
    }
  }

  private static func check(
    _ format: WeightFormat, _ byteCount: Int, _ floatCount: Int, _ rows: Int, _ columns: Int
  ) -> Int {
    precondition(format.isGGML, "\(format.rawValue) has no blocks of ggml's")
    let perRow = format.planeBytesPerRow(columns: columns)[0]
    precondition(
      byteCount == rows * perRow && floatCount == rows * columns,
      "\(rows) rows of \(columns) as \(byteCount) bytes and \(floatCount) floats")
    return perRow
  }
}
