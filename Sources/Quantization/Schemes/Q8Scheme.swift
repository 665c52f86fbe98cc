import CKernels
import TensorCore
import TensorKernels

/// Eight bits a weight: int8 codes in blocks of 32 with an 8-bit block scale and one float scale
/// a row, 8.25 bits in all; practically without loss.
///
/// value = row_scale · block_scale · code
public struct Q8Scheme: QuantizationScheme {
  public let name = "q8"
  public let format = WeightFormat.q8

  public init() {}

  public func planes(rows: Int, columns: Int) -> [PlaneLayout] {
    let padded = ck_padded_columns(columns)
    let blocks = padded / Int(CK_Q8_BLOCK)
    return [
      PlaneLayout(name: "row_scale", dataType: .f32, shape: [rows], bytesPerRow: 4),
      PlaneLayout(
        name: "block_scale", dataType: .u8, shape: [rows, blocks], bytesPerRow: blocks),
      PlaneLayout(name: "codes", dataType: .i8, shape: [rows, padded], bytesPerRow: padded),
    ]
  }

  public func encode(
    _ rows: Span<Float>, rowCount: Int, columns: Int, into planes: inout [[UInt8]]
  ) {
    let padded = ck_padded_columns(columns)
    unsafe encodeBlocks(rows, rowCount: rowCount, columns: columns, into: &planes) {
      rows, rowScales, blockScales, codes in
      unsafe codes.withMemoryRebound(to: Int8.self, capacity: rowCount * padded) { codes in
        unsafe ck_q8_encode(rows, rowCount, columns, rowScales, blockScales, codes)
      }
    }
  }

  public func decode(
    planes: [[UInt8]], rowCount: Int, columns: Int, into floats: inout MutableSpan<Float>
  ) throws(QuantizationFault) {
    try checkLengths(planes, rowCount: rowCount, columns: columns)
    let padded = ck_padded_columns(columns)
    let block = Int(CK_Q8_BLOCK)
    for row in 0..<rowCount {
      let rowScale = littleEndianFloat(planes[0], at: row)
      for column in 0..<columns {
        let scale = planes[1][row * (padded / block) + column / block]
        let code = Int8(bitPattern: planes[2][row * padded + column])
        floats[row * columns + column] = rowScale * Float(Int(scale) * Int(code))
      }
    }
  }
}
