/// A family whose tensors outside of the blocks are called as Llama's: `model.embed_tokens`,
/// `model.norm` and `lm_head`, with blocks in `model.layers.N`.
protocol LlamaNames: ModelArchitecture {
  /// Tensors of one block.
  func blockTensors(_ layer: Int) -> [TensorSpec]

  /// Tensors of the final norm; by default one weight.
  var finalNormTensors: [TensorSpec] { get }

  func finalNorm(_ tensors: LoadedTensors) throws(ArchitectureFault) -> Normalization
}

extension LlamaNames {
  static var embeddingName: String { "model.embed_tokens" }
  static var finalNormName: String { "model.norm" }
  static func prefix(_ layer: Int) -> String { "model.layers.\(layer)." }

  var finalNormTensors: [TensorSpec] {
    [TensorSpec.rmsNorm(Self.finalNormName, dimensions.hiddenSize)]
  }

  func tensors(of component: Component) -> [TensorSpec] {
    let embedding = dimensions.embedding(Self.embeddingName)
    switch component {
    case .embedding: return [embedding]
    case .block(let layer): return blockTensors(layer)
    case .head:
      return TensorSpec.head(
        finalNormTensors, embedding: embedding, tied: dimensions.tiesEmbeddings)
    }
  }

  func makeEmbedding(_ tensors: LoadedTensors) throws(ArchitectureFault) -> any EmbeddingStage {
    TokenEmbedding(tokens: try tensors.matrix(Self.embeddingName + ".weight"))
  }

  func makeHead(_ tensors: LoadedTensors) throws(ArchitectureFault) -> any HeadStage {
    LanguageModelHead(
      norm: try finalNorm(tensors), projection: try headProjection(tensors))
  }

  /// The head's own matrix, or the tied embedding.
  func headProjection(_ tensors: LoadedTensors) throws(ArchitectureFault) -> Linear {
    try tensors.linear(dimensions.tiesEmbeddings ? Self.embeddingName : "lm_head")
  }
}
