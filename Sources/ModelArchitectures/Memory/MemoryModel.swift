import Quantization
import TensorCore
import TensorKernels

/// How many bytes each part of a model takes on a node once it is loaded.
///
/// Planner and loader both count with this type and with nothing else, so a plan that fits is a
/// node that loads.
public struct MemoryModel: Sendable {
  public let architecture: any ModelArchitecture
  private let tensors: [String: StoredTensor]

  /// - Parameters:
  ///   - tensors: the quantized model's tensors by canonical name.
  /// - Throws: `ArchitectureFault` where a tensor is missing or has another shape.
  public init(
    architecture: any ModelArchitecture, tensors: [String: StoredTensor]
  ) throws(ArchitectureFault) {
    self.architecture = architecture
    self.tensors = tensors
    for component in architecture.components {
      for spec in architecture.tensors(of: component) {
        guard let tensor = tensors[spec.name] else {
          throw ArchitectureFault(
            code: "tensorMissing",
            message: "tensor \(spec.name) of \(component.name) is missing; quantize the "
              + "checkpoint again",
            context: ["tensor": spec.name])
        }
        guard tensor.shape == spec.shape else {
          throw ArchitectureFault(
            code: "tensorShape",
            message: "tensor \(spec.name) has the shape \(tensor.shape); the configuration "
              + "asks for \(spec.shape)",
            context: ["tensor": spec.name])
        }
      }
    }
  }

  /// Tensors of some components, each once, in the order of execution.
  public func storedTensors(of components: [Component]) -> [StoredTensor] {
    var seen: Set<String> = []
    return components.flatMap { architecture.tensors(of: $0) }.compactMap { spec in
      seen.insert(spec.name).inserted ? tensors[spec.name] : nil
    }
  }

  /// Resident bytes of the weights of some components; a tied embedding counts once.
  public func weightBytes(of components: [Component]) -> Int {
    storedTensors(of: components).reduce(0) { $0 + Self.residentBytes(of: $1) }
  }

  /// Resident bytes of one tensor, laid out for the kernels.
  public static func residentBytes(of tensor: StoredTensor) -> Int {
    tensor.shape.count == 2
      ? PackedMatrix.byteCount(tensor.scheme.format, rows: tensor.rows, columns: tensor.columns)
      : Matrix.byteCount(rows: 1, columns: tensor.columns)
  }

  /// Bytes of weights that decoding one token reads from memory in a component: all matrices,
  /// but of the embedding one row, and of a mixture the experts that run.
  public func bytesReadPerToken(in component: Component) -> Int {
    let tensors = storedTensors(of: [component])
    guard component != .embedding else {
      return tensors.reduce(0) { $0 + Self.residentBytes(of: $1) / max(1, $1.rows) }
    }
    return tensors.reduce(0) { sum, tensor in
      sum + Int(Double(Self.residentBytes(of: tensor)) * architecture.shareRead(of: tensor.name))
    }
  }

  /// How keys and values are kept: as 32-bit floats where no weight is quantized (the parity
  /// path), as 16-bit floats otherwise.
  public var cacheFormat: CacheFormat { isQuantized ? .f16 : .f32 }

  /// How hidden states stand between layers: untouched where no weight is quantized.
  public var hiddenFormat: HiddenFormat { isQuantized ? .half : .f32 }

  private var isQuantized: Bool {
    tensors.values.contains { $0.scheme.format.isQuantized }
  }

  /// Positions that a layer's cache holds: the context, or what a window needs while a chunk of
  /// the prompt is being added.
  public func cacheCapacity(layer: Int, context: Int, prefillChunk: Int) -> Int {
    guard let window = architecture.keyValueShape(layer: layer).window else { return context }
    return min(context, window + prefillChunk - 1)
  }

  /// Bytes of one layer's cache for that many sequences.
  public func keyValueBytes(
    layer: Int, context: Int, sequences: Int, prefillChunk: Int
  ) -> Int {
    let shape = architecture.keyValueShape(layer: layer)
    return sequences
      * KeyValueCache.byteCount(
        keyValueHeads: shape.heads, headDimension: shape.headDimension,
        capacity: cacheCapacity(layer: layer, context: context, prefillChunk: prefillChunk),
        format: cacheFormat)
  }

  /// Rows of logits that are computed at once.
  public static func logitRows(prefillChunk: Int) -> Int { min(prefillChunk, 8) }

  /// Bytes of hidden states, intermediate values, rotary tables and, on the head's node, logits.
  public func activationBytes(
    prefillChunk: Int, context: Int, threads: Int, holdsHead: Bool, sequences: Int = 1
  ) -> Int {
    let d = architecture.dimensions
    let workspace = Workspace.byteCount(
      d, rows: prefillChunk, context: context, threads: threads)
    let hidden = 2 * Matrix.byteCount(rows: prefillChunk, columns: d.hiddenSize)
    let rows = Self.logitRows(prefillChunk: prefillChunk)
    let logits = holdsHead ? Matrix.byteCount(rows: rows, columns: d.vocabularySize) : 0
    return workspace + sequences * (hidden + logits)
      + architecture.rotaryTableBytes(positions: context)
  }
}
