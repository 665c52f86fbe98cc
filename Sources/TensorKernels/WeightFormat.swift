import CKernels

/// The canonical encodings of weights: plain floats, our own, and ggml's as GGUF files hold them.
public enum WeightFormat: String, Sendable, CaseIterable {
  case f32, f16, bf16, q8, q4
  case q4_0, q4_1, q5_0, q5_1, q8_0, iq4_nl, q4_k, q5_k, q6_k, iq4_xs

  /// Whether products take activations as integers, see `QuantizedActivations`.
  public var needsQuantizedActivations: Bool { self == .q8 || self == .q4 }

  /// Whether weights were rounded to fewer than 16 bits.
  public var isQuantized: Bool { needsQuantizedActivations || isGGML }

  /// Whether a row is a run of ggml's blocks.
  public var isGGML: Bool { ck_ggml_block_bytes(index) > 0 }

  /// Columns and bytes of a block of ggml's; nil for other formats.
  public var ggmlBlock: (columns: Int, bytes: Int)? {
    isGGML ? (ck_ggml_block_columns(index), ck_ggml_block_bytes(index)) : nil
  }

  package var index: Int32 {
    switch self {
    case .f32: Int32(CK_F32)
    case .f16: Int32(CK_F16)
    case .bf16: Int32(CK_BF16)
    case .q8: Int32(CK_Q8)
    case .q4: Int32(CK_Q4)
    case .q4_0: Int32(CK_Q4_0)
    case .q4_1: Int32(CK_Q4_1)
    case .q5_0: Int32(CK_Q5_0)
    case .q5_1: Int32(CK_Q5_1)
    case .q8_0: Int32(CK_Q8_0)
    case .iq4_nl: Int32(CK_IQ4_NL)
    case .q4_k: Int32(CK_Q4_K)
    case .q5_k: Int32(CK_Q5_K)
    case .q6_k: Int32(CK_Q6_K)
    case .iq4_xs: Int32(CK_IQ4_XS)
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
    default: return [ggmlBlocks(columns: columns) * ck_ggml_block_bytes(index)]
    }
  }

  /// Blocks of 32 columns.
  static func blocks(columns: Int) -> Int { (columns + 31) / 32 }

  /// Blocks of ggml's in a row; the last may have columns without meaning.
  func ggmlBlocks(columns: Int) -> Int {
    let width = ck_ggml_block_columns(index)
    return (columns + width - 1) / width
  }
}
