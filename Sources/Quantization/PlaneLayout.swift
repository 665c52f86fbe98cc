import TensorCore

/// One array of a stored tensor: a scheme keeps its codes and its scales in planes of their own.
public struct PlaneLayout: Sendable, Hashable {
  /// `weight`, `row_scale`, `block_scale` or `codes`.
  public let name: String
  public let dataType: DataType
  public let shape: [Int]
  /// Bytes of one row (output channel); row r begins at r times this number.
  public let bytesPerRow: Int

  public init(name: String, dataType: DataType, shape: [Int], bytesPerRow: Int) {
    self.name = name
    self.dataType = dataType
    self.shape = shape
    self.bytesPerRow = bytesPerRow
  }

  /// Bytes of all rows.
  public var byteCount: Int { shape.reduce(dataType.byteCount, *) }
}
