import Quantization

/// A tensor that a component needs: its name and shape in our files, and where a Hugging Face
/// checkpoint has it.
public struct TensorSpec: Sendable, Equatable {
  /// Canonical name: what quantized checkpoints and bundles call the tensor.
  public let name: String
  /// [rows, columns] = [output channels, input channels], or [length] of a vector.
  public let shape: [Int]
  public let role: TensorRole
  public let source: TensorSource

  public init(_ name: String, _ shape: [Int], _ role: TensorRole, source: TensorSource? = nil) {
    self.name = name
    self.shape = shape
    self.role = role
    self.source = source ?? TensorSource(names: TensorSource.spellings(of: name), shape: shape)
  }

  /// Rows of a matrix; 1 for a vector.
  public var rows: Int { shape.count == 2 ? shape[0] : 1 }
  /// Columns of a matrix; the length of a vector.
  public var columns: Int { shape.last ?? 1 }
}

/// Where and how a checkpoint stores a tensor.
public struct TensorSource: Sendable, Equatable {
  /// Names under which checkpoints have it, the usual one first.
  public let names: [String]
  /// Shape of the stored tensor.
  public let shape: [Int]
  /// Which output channels (rows; columns where transposed; elements of a vector) of the stored
  /// tensor are ours, in our order; nil for all. Fused projections are split this way.
  public let channels: [Range<Int>]?
  /// Whether the checkpoint stores [input, output] (GPT-2's Conv1D).
  public let isTransposed: Bool

  public init(
    names: [String], shape: [Int], channels: [Range<Int>]? = nil, isTransposed: Bool = false
  ) {
    self.names = names
    self.shape = shape
    self.channels = channels
    self.isTransposed = isTransposed
  }

  /// A canonical name, and the same without the prefix that checkpoints of the bare model
  /// (`AutoModel`, the original GPT-2 files) leave out.
  static func spellings(of name: String) -> [String] {
    let prefixes = ["model.", "transformer.", "gpt_neox."]
    guard let prefix = prefixes.first(where: name.hasPrefix) else { return [name] }
    return [name, String(name.dropFirst(prefix.count))]
  }
}

extension TensorSpec {
  /// A projection's weight, and its bias where there is one.
  static func linear(
    _ name: String, _ outputs: Int, _ inputs: Int, _ role: TensorRole, hasBias: Bool = false
  ) -> [TensorSpec] {
    let weight = TensorSpec(name + ".weight", [outputs, inputs], role)
    return hasBias ? [weight, TensorSpec(name + ".bias", [outputs], .bias)] : [weight]
  }
}

/// A stored tensor that is split into several of ours, or stored the other way round.
struct FusedSource: Sendable {
  let name: String
  /// Shape as stored.
  let shape: [Int]
  /// Stored [input, output].
  var isTransposed = false

  /// The part made of some output channels; nil for all.
  func part(_ name: String, _ channels: [Range<Int>]?, _ role: TensorRole) -> TensorSpec {
    let outputs = isTransposed ? shape[shape.count - 1] : shape[0]
    let count = channels?.reduce(0) { $0 + $1.count } ?? outputs
    let partShape = shape.count == 1 ? [count] : [count, isTransposed ? shape[0] : shape[1]]
    return TensorSpec(
      name, partShape, role,
      source: TensorSource(
        names: TensorSource.spellings(of: self.name), shape: shape, channels: channels,
        isTransposed: isTransposed))
  }
}
