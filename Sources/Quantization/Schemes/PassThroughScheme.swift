import TensorCore
import TensorKernels

/// Weights as 32- or 16-bit floats.
///
/// Values outside float16's range become infinite there; `Quantizer` refuses them before.
public struct PassThroughScheme: QuantizationScheme {
  static let planeName = "weight"

  public let format: WeightFormat
  private let dataType: DataType

  /// Precondition: the format is `f32`, `f16` or `bf16`.
  public init(_ format: WeightFormat) {
    switch format {
    case .f32: dataType = .f32
    case .f16: dataType = .f16
    case .bf16: dataType = .bf16
    default: preconditionFailure("\(format) is no pass-through format")
    }
    self.format = format
  }

  /// The scheme that keeps a stored type as it is; nil for types that hold no weights.
  public init?(keeping dataType: DataType) {
    switch dataType {
    case .f32: self.init(.f32)
    case .f16: self.init(.f16)
    case .bf16: self.init(.bf16)
    default: return nil
    }
  }

  public var name: String { format.rawValue }

  public func planes(rows: Int, columns: Int) -> [PlaneLayout] {
    [
      PlaneLayout(
        name: Self.planeName, dataType: dataType, shape: [rows, columns],
        bytesPerRow: columns * dataType.byteCount)
    ]
  }
}

extension PassThroughScheme {
  public func encode(
    _ rows: Span<Float>, rowCount: Int, columns: Int, options: EncodingOptions,
    into planes: inout [[UInt8]]
  ) {
    precondition(
      rows.count == rowCount * columns,
      "\(rowCount) rows of \(columns) are not \(rows.count) floats")
    // An array of the right length is used again.
    var bytes = planes.count == 1 ? planes.removeLast() : []
    if bytes.count != rows.count * dataType.byteCount {
      bytes = [UInt8](repeating: 0, count: rows.count * dataType.byteCount)
    }
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    switch format {
    case .f16: FloatConversion.f32ToF16(rows, into: &raw)
    case .bf16: FloatConversion.f32ToBF16(rows, into: &raw)
    default:
      for index in rows.indices {
        raw.storeBytes(
          of: rows[index].bitPattern.littleEndian, toByteOffset: 4 * index, as: UInt32.self)
      }
    }
    planes = [bytes]
  }

  public func decode(
    planes: [[UInt8]], rowCount: Int, columns: Int, into floats: inout MutableSpan<Float>
  ) throws(QuantizationFault) {
    try checkLengths(planes, rowCount: rowCount, columns: columns)
    precondition(
      floats.count == rowCount * columns,
      "\(rowCount) rows of \(columns) are not \(floats.count) floats")
    let plane = planes[0]
    let bytes = unsafe plane.span.bytes
    switch format {
    case .f16: FloatConversion.f16ToF32(bytes, into: &floats)
    case .bf16: FloatConversion.bf16ToF32(bytes, into: &floats)
    default:
      for index in 0..<floats.count { floats[index] = littleEndianFloat(plane, at: index) }
    }
  }
}
