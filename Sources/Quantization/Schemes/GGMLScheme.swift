import TensorCore
import TensorKernels

/// One of ggml's types, as GGUF files hold it: blocks of 32 or 256 columns, each with its scales
/// and codes, byte for byte.
///
/// `import` brings them in as they are; `export` encodes for other programs. Recipes do not choose
/// them: q4 and q8 are nearer to the weights at the same size.
public struct GGMLScheme: QuantizationScheme {
  static let planeName = "blocks"

  public let format: WeightFormat
  public var name: String { format.rawValue }

  /// Precondition: the format is one of ggml's.
  public init(_ format: WeightFormat) {
    precondition(format.isGGML, "\(format.rawValue) is no type of ggml's")
    self.format = format
  }

  public func planes(rows: Int, columns: Int) -> [PlaneLayout] {
    let bytes = format.planeBytesPerRow(columns: columns)[0]
    return [
      PlaneLayout(name: Self.planeName, dataType: .u8, shape: [rows, bytes], bytesPerRow: bytes)
    ]
  }

  public func encode(
    _ rows: Span<Float>, rowCount: Int, columns: Int, options: EncodingOptions,
    into planes: inout [[UInt8]]
  ) {
    var bytes = [UInt8](
      repeating: 0, count: rowCount * format.planeBytesPerRow(columns: columns)[0])
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    GGMLBlocks.encode(format, rows, rowCount: rowCount, columns: columns, into: &raw)
    planes = [bytes]
  }

  public func decode(
    planes: [[UInt8]], rowCount: Int, columns: Int, into floats: inout MutableSpan<Float>
  ) throws(QuantizationFault) {
    try checkLengths(planes, rowCount: rowCount, columns: columns)
    let plane = planes[0]
    GGMLBlocks.decode(
      format, unsafe plane.span.bytes, rowCount: rowCount, columns: columns, into: &floats)
  }
}
