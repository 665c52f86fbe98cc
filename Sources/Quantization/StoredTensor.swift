import TensorCore

/// A tensor in a scheme's stored form.
public struct StoredTensor: Sendable {
  /// Canonical name, as the architecture gives it.
  public let name: String
  public let scheme: any QuantizationScheme
  /// [rows, columns] with rows = output channels, or [n].
  public let shape: [Int]

  /// Precondition: the shape has one or two positive dimensions.
  public init(name: String, scheme: any QuantizationScheme, shape: [Int]) {
    precondition(
      (1...2).contains(shape.count) && shape.allSatisfy { $0 > 0 },
      "a stored tensor has one or two dimensions, not \(shape)")
    self.name = name
    self.scheme = scheme
    self.shape = shape
  }

  /// Output channels; a tensor of one dimension is one row.
  public var rows: Int { shape.count == 2 ? shape[0] : 1 }
  public var columns: Int { shape[shape.count - 1] }
  public var elementCount: Int { rows * columns }

  /// The arrays that hold it, in their order on disk.
  public var planes: [PlaneLayout] {
    let planes = scheme.planes(rows: rows, columns: columns)
    guard shape.count == 1, planes.count == 1 else { return planes }
    // A vector that passes through keeps its own shape.
    return planes.map {
      PlaneLayout(
        name: $0.name, dataType: $0.dataType, shape: shape, bytesPerRow: $0.bytesPerRow)
    }
  }

  /// Stored bytes of all planes.
  public var byteCount: Int { planes.reduce(0) { $0 + $1.byteCount } }

  public var bitsPerWeight: Double { scheme.bitsPerWeight(rows: rows, columns: columns) }

  /// The name of a plane in a safetensors file: pass-through tensors keep their own.
  public func storageName(plane: Int) -> String {
    let layout = planes[plane]
    return layout.name == PassThroughScheme.planeName ? name : "\(name).\(layout.name)"
  }
}
