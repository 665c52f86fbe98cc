import ModelArchitectures
import Quantization

/// The bytes of a quantized checkpoint at any settings.
public struct CheckpointFootprint: FootprintSource {
  public let memory: MemoryModel
  public let facts: ModelFacts
  /// Bytes of the tokenizer's files.
  public let tokenizerFileBytes: Int

  public init(memory: MemoryModel, tokenizerFileBytes: Int) {
    self.memory = memory
    self.tokenizerFileBytes = tokenizerFileBytes
    let dimensions = memory.architecture.dimensions
    facts = ModelFacts(
      family: type(of: memory.architecture).family, layerCount: dimensions.layerCount,
      hiddenSize: dimensions.hiddenSize, vocabularySize: dimensions.vocabularySize,
      contextLength: dimensions.contextLength)
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
      tokenizerBytes: Self.tokenizerBytes(fileBytes: tokenizerFileBytes),
      activationBytes: withoutHead,
      headActivationBytes: activations(holdsHead: true) - withoutHead,
      runtimeBytes: Self.runtimeBytes(settings, hiddenSize: facts.hiddenSize))
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

  /// What a tokenizer takes in memory: its files while they are read, and its tables.
  static func tokenizerBytes(fileBytes: Int) -> Int {
    fileBytes == 0 ? 0 : 4 << 20 + 16 * fileBytes
  }

  /// What a process takes beside the model: program and libraries, stacks of its threads, the
  /// chunks of blobs in flight while it loads, frames of hidden states.
  static func runtimeBytes(_ settings: PlanSettings, hiddenSize: Int) -> Int {
    let frames = 4 * settings.prefillChunk * hiddenSize * 4
    return 48 << 20 + frames
  }
}
