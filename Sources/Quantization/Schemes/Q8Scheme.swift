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

  private let encoders: BlockEncoders

  public init() { encoders = .best }

  /// The scheme as one instruction set computes it, which gives the same bytes; nil where the
  /// processor lacks it.
  package init?(_ instructionSet: InstructionSet) {
    guard let encoders = BlockEncoders(instructionSet) else { return nil }
    self.encoders = encoders
  }

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
    _ rows: Span<Float>, rowCount: Int, columns: Int, options: EncodingOptions,
    into planes: inout [[UInt8]]
  ) {
    unsafe encoders.encode(
      rows, rowCount: rowCount, columns: columns, options: options,
      layouts: self.planes(rows: rowCount, columns: columns), into: &planes
    ) { unsafe encoders.functions.q8($0) }
  }

  public func decode(
    planes: [[UInt8]], rowCount: Int, columns: Int, into floats: inout MutableSpan<Float>
  ) throws(QuantizationFault) {
    try checkLengths(planes, rowCount: rowCount, columns: columns)
    unsafe encoders.decode(planes: planes, rowCount: rowCount, columns: columns, into: &floats) {
      unsafe encoders.functions.decode_q8($0, $1, $2, $3, $4, $5)
    }
  }
}
