import ModelArchitectures
import Quantization
import StrictJSON
import TensorCore

/// The bytes of a quantized checkpoint at any settings.
public struct CheckpointFootprint: FootprintSource {
  public let memory: MemoryModel
  public let facts: ModelFacts
  /// Bytes of the tokenizer's files.
  public let tokenizerFileBytes: Int

  /// - Parameter modelType: the configuration's `model_type`; by default the family's first.
  public init(memory: MemoryModel, tokenizerFileBytes: Int, modelType: String? = nil) {
    self.memory = memory
    self.tokenizerFileBytes = tokenizerFileBytes
    let dimensions = memory.architecture.dimensions
    let family = type(of: memory.architecture)
    facts = ModelFacts(
      family: modelType ?? family.modelTypes.first ?? family.family,
      layerCount: dimensions.layerCount,
      hiddenSize: dimensions.hiddenSize, vocabularySize: dimensions.vocabularySize,
      contextLength: dimensions.contextLength)
  }

  /// The footprint of a quantized checkpoint on disk.
  ///
  /// Throws: `ArchitectureFault` for a configuration or tensor that the model cannot have,
  /// `FileFault` where a tokenizer file cannot be read.
  public init(_ checkpoint: QuantizedCheckpoint) throws {
    try self.init(
      configuration: checkpoint.configuration, tensors: checkpoint.tensors,
      tokenizerFiles: checkpoint.tokenizerFiles, in: checkpoint.directory)
  }

  /// The footprint of a quantized checkpoint that need not be there yet.
  ///
  /// - Parameters:
  ///   - tensors: the stored tensors by name.
  ///   - tokenizerFiles: names of files in `directory`.
  /// - Throws: as above.
  public init(
    configuration: JSONObject, tensors: [String: StoredTensor], tokenizerFiles: [String],
    in directory: String
  ) throws {
    let architecture = try ArchitectureRegistry.architecture(for: configuration)
    var tokenizerBytes = 0
    for name in tokenizerFiles {
      tokenizerBytes += try InputFile(path: "\(directory)/\(name)").byteCount
    }
    self.init(
      memory: try MemoryModel(architecture: architecture, tensors: tensors),
      tokenizerFileBytes: tokenizerBytes, modelType: configuration["model_type"]?.string)
  }

  public func footprint(for settings: PlanSettings) -> ModelFootprint {
    let embedding = component(.embedding, settings)
    let head = component(.head, settings)
    func activations(holdsHead: Bool) -> Int {
      memory.activationBytes(
        prefillChunk: settings.prefillChunk, context: settings.context,
        threads: settings.threads, holdsHead: holdsHead, sequences: settings.sequences)
    }
    let withoutHead = activations(holdsHead: false)
    return ModelFootprint(
      facts: facts, settings: settings, embedding: embedding,
      layers: (0..<facts.layerCount).map { component(.block($0), settings) }, head: head,
      sharedBytes: embedding.weightBytes + head.weightBytes
        - memory.weightBytes(of: [.embedding, .head]),
      tokenizerBytes: ProcessBytes.tokenizerBytes(fileBytes: tokenizerFileBytes),
      activationBytes: withoutHead,
      headActivationBytes: activations(holdsHead: true) - withoutHead,
      loadBufferBytes: ProcessBytes.loadBufferBytes(
        threads: settings.threads, numbers: largestNumberPlane),
      runtimeBytes: ProcessBytes.runtimeBytes(settings, hiddenSize: facts.hiddenSize),
      hiddenStateBytes: memory.hiddenFormat.byteCount(columns: facts.hiddenSize))
  }

  /// Bytes of the largest plane of numbers of several bytes, which may be stored with their bytes
  /// apart.
  private var largestNumberPlane: Int {
    memory.storedTensors(of: memory.architecture.components).flatMap(\.planes)
      .filter { $0.dataType.byteCount > 1 }.map(\.byteCount).max() ?? 0
  }

  private func component(_ component: Component, _ settings: PlanSettings) -> ComponentFootprint {
    var footprint = ComponentFootprint(weightBytes: memory.weightBytes(of: [component]))
    for tensor in memory.storedTensors(of: [component]) {
      let bytes = MemoryModel.residentBytes(of: tensor)
      let share = memory.architecture.shareRead(of: tensor.name)
      if component == .embedding {
        footprint.readBytes[tensor.scheme.name, default: 0] += bytes / max(1, tensor.rows)
        continue
      }
      footprint.readBytes[tensor.scheme.name, default: 0] += Int(Double(bytes) * share)
      footprint.operations += Int(Double(tensor.elementCount) * share)
    }
    guard case .block(let layer) = component else { return footprint }
    footprint.keyValueBytes = memory.keyValueBytes(
      layer: layer, context: settings.context, sequences: settings.sequences,
      prefillChunk: settings.prefillChunk)
    let shape = memory.architecture.keyValueShape(layer: layer)
    footprint.window = shape.window
    let bytesPerElement = memory.cacheFormat == .f16 ? 2 : 4
    footprint.keyValueReadBytesPerPosition = 2 * shape.heads * shape.headDimension * bytesPerElement
    footprint.operationsPerPosition =
      2 * memory.architecture.dimensions.headCount * shape.headDimension
    return footprint
  }

  /// The sizes that the recipe for 4 bits would give.
  public func withFewerBits() -> (source: any FootprintSource, bits: Int)? {
    let architecture = memory.architecture
    let components = architecture.components
    var tensors: [String: StoredTensor] = [:]
    for tensor in memory.storedTensors(of: components) { tensors[tensor.name] = tensor }
    var isSmaller = false
    for spec in components.flatMap({ architecture.tensors(of: $0) }) {
      let scheme = try? Recipe.bits4.scheme(
        for: spec.role, shape: spec.shape, isTied: architecture.dimensions.tiesEmbeddings,
        stored: .f16)
      guard let stored = tensors[spec.name], let scheme else { continue }
      let smaller = StoredTensor(name: stored.name, scheme: scheme, shape: stored.shape)
      guard smaller.byteCount < stored.byteCount else { continue }
      tensors[spec.name] = smaller
      isSmaller = true
    }
    guard isSmaller, let smaller = try? MemoryModel(architecture: architecture, tensors: tensors)
    else { return nil }
    let source = CheckpointFootprint(
      memory: smaller, tokenizerFileBytes: tokenizerFileBytes, modelType: facts.family)
    return (source, 4)
  }
}
