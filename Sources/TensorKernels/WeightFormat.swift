import CKernels

/// The canonical encodings of weights.
public enum WeightFormat: String, Sendable, CaseIterable {
  case f32, f16, bf16, q8, q4

  /// Whether products take activations as integers, see `QuantizedActivations`.
  public var needsQuantizedActivations: Bool { self == .q8 || self == .q4 }

  var index: Int32 {
    switch self {
    case .f32: Int32(CK_F32)
    case .f16: Int32(CK_F16)
    case .bf16: Int32(CK_BF16)
    case .q8: Int32(CK_Q8)
    case .q4: Int32(CK_Q4)
    }
  }

  /// Canonical bytes of one row in each plane, in the order of the planes.
  public func planeBytesPerRow(columns: Int) -> [Int] {
    let blocks = Self.blocks(columns: columns)
    switch self {
    case .f32: return [4 * columns]
    case .f16, .bf16: return [2 * columns]
    case .q8: return [4, blocks, 32 * blocks]
    case .q4: return [4, 2 * blocks, 16 * blocks]
    }
  }

  /// Blocks of 32 columns.
  static func blocks(columns: Int) -> Int { (columns + 31) / 32 }
}
