import CKernels
import TensorCore
import TensorKernels

/// Four bits a weight on one of two non-linear grids: blocks of 16 with a signed 7-bit block
/// scale and a grid bit, and one float scale a row, 4.5 bits in all.
///
/// value = row_scale · l · grid[code]
public struct Q4Scheme: QuantizationScheme {
  public let name = "q4"
  public let format = WeightFormat.q4

  public init() {}

  public func planes(rows: Int, columns: Int) -> [PlaneLayout] {
    let padded = ck_padded_columns(columns)
    let blocks = padded / Int(CK_Q4_BLOCK)
    return [
      PlaneLayout(name: "row_scale", dataType: .f32, shape: [rows], bytesPerRow: 4),
      PlaneLayout(
        name: "block_scale", dataType: .u8, shape: [rows, blocks], bytesPerRow: blocks),
      PlaneLayout(
        name: "codes", dataType: .u8, shape: [rows, padded / 2], bytesPerRow: padded / 2),
    ]
  }

  public func encode(
    _ rows: Span<Float>, rowCount: Int, columns: Int, into planes: inout [[UInt8]]
  ) {
    unsafe encodeBlocks(rows, rowCount: rowCount, columns: columns, into: &planes) {
      rows, rowScales, blockScales, codes in
      unsafe ck_q4_encode(rows, rowCount, columns, rowScales, blockScales, codes)
    }
  }

  public func decode(
    planes: [[UInt8]], rowCount: Int, columns: Int, into floats: inout MutableSpan<Float>
  ) throws(QuantizationFault) {
    try checkLengths(planes, rowCount: rowCount, columns: columns)
    let padded = ck_padded_columns(columns)
    let block = Int(CK_Q4_BLOCK)
    for row in 0..<rowCount {
      let rowScale = littleEndianFloat(planes[0], at: row)
      for column in 0..<columns {
        let scale = planes[1][row * (padded / block) + column / block]
        let pair = planes[2][row * (padded / 2) + column / 2]
        let code = column & 1 == 0 ? pair & 15 : pair >> 4
        let value = ck_q4_block_scale(scale) * ck_q4_grid_value(UInt32(scale & 1), UInt32(code))
        floats[row * columns + column] = rowScale * Float(value)
      }
    }
  }
}
