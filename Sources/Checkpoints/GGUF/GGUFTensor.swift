/// One tensor of a GGUF file: its name, type, shape and place.
public struct GGUFTensor: Sendable, Equatable {
  public let name: String
  public let type: GGUFTensorType
  /// Outermost dimension first, as safetensors have it; files have the innermost first.
  public let shape: [Int]
  /// Where the elements lie, counted from the beginning of the file.
  public let byteRange: Range<Int>

  public var byteCount: Int { byteRange.count }
  public var elementCount: Int { shape.reduce(1, *) }
  /// The innermost dimension.
  public var columns: Int { shape[shape.count - 1] }
  /// All other dimensions together.
  public var rows: Int { shape.dropLast().reduce(1, *) }
  public var bytesPerRow: Int { columns / type.block.elements * type.block.bytes }
}
