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
    _ rows: Span<Float>, rowCount: Int, columns: Int, into planes: inout [[UInt8]]
  ) {
    precondition(
      rows.count == rowCount * columns,
      "\(rowCount) rows of \(columns) are not \(rows.count) floats")
    var bytes: [UInt8] = []
    bytes.reserveCapacity(rows.count * dataType.byteCount)
    for index in rows.indices {
      let bits: UInt32
      switch format {
      case .f16: bits = UInt32(HalfPrecision.float16(rows[index]))
      case .bf16: bits = UInt32(HalfPrecision.bfloat16(rows[index]))
      default: bits = rows[index].bitPattern
      }
      for byte in 0..<dataType.byteCount {
        bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(8 * byte)))
      }
    }
    planes = [bytes]
  }

  public func decode(
    planes: [[UInt8]], rowCount: Int, columns: Int, into floats: inout MutableSpan<Float>
  ) throws(QuantizationFault) {
    try checkLengths(planes, rowCount: rowCount, columns: columns)
    let bytes = planes[0]
    for index in 0..<(rowCount * columns) {
      switch format {
      case .f32: floats[index] = littleEndianFloat(bytes, at: index)
      default:
        let bits = UInt16(bytes[2 * index]) | UInt16(bytes[2 * index + 1]) << 8
        floats[index] =
          format == .f16 ? HalfPrecision.float(float16: bits) : HalfPrecision.float(bfloat16: bits)
      }
    }
  }
}
