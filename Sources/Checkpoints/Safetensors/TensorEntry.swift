import TensorCore

/// One tensor of a safetensors file: its name, type, shape and place.
public struct TensorEntry: Sendable, Equatable {
  public let name: String
  public let dataType: DataType
  public let shape: [Int]
  /// Where the elements lie, counted from the beginning of the file.
  public let byteRange: Range<Int>

  public var byteCount: Int { byteRange.count }

  /// The product of the shape; 1 for a scalar, whose shape is empty.
  public var elementCount: Int { shape.reduce(1, *) }

  public init(name: String, dataType: DataType, shape: [Int], byteRange: Range<Int>) {
    self.name = name
    self.dataType = dataType
    self.shape = shape
    self.byteRange = byteRange
  }

  /// Bytes that a tensor of this type and shape takes.
  ///
  /// Returns: nil where the product overflows or is no whole number of bytes.
  public static func byteCount(of dataType: DataType, shape: [Int]) -> Int? {
    var elements = 1
    for dimension in shape {
      let (product, overflow) = elements.multipliedReportingOverflow(by: dimension)
      guard !overflow else { return nil }
      elements = product
    }
    return dataType.byteCount(elements: elements)
  }
}
