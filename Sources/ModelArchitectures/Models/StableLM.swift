import TensorCore
import TensorKernels

/// StableLM 2 and 3B.
///
/// Reference: Bellagente et al. 2024, "Stable LM 2 1.6B Technical Report"; Hugging Face
/// transformers, `models/stablelm/modeling_stablelm.py`.
struct StableLM: LlamaNames {
  static let family = "StableLM"
  static let modelTypes = ["stablelm"]
  static let quirks = [
    "layer norm with SwiGLU", "partial rotary", "biases on q, k, v", "parallel residual",
    "layer norm of each head of q and k",
  ]

  // MARK: Configuration

  struct Configuration: Sendable {
    let dimensions: ModelDimensions
    /// layer_norm_eps.
    let epsilon: Double
    /// hidden_act.
    let activation: Activation
    /// use_qkv_bias.
    let inputsHaveBias: Bool
    /// qk_layernorm: norms of the channels of each head, without bias.
    let normsHeads: Bool
    /// use_parallel_residual: attention and feed-forward behind one norm.
    let isParallel: Bool
    /// rope_theta, partial_rotary_factor.
    let rotary: RotaryEmbedding

    init(_ reader: ConfigurationReader) throws(ArchitectureFault) {
      let hidden = try reader.positive("hidden_size")
      let heads = try reader.positive("num_attention_heads")
      let headDimension = try reader.headDimension(
        hiddenSize: hidden, headCount: heads, isFree: false)
      dimensions = ModelDimensions(
        vocabularySize: try reader.positive("vocab_size"), hiddenSize: hidden,
        layerCount: try reader.positive("num_hidden_layers"), headCount: heads,
        keyValueHeadCount: try reader.keyValueHeads(heads: heads, default: 32),
        headDimension: headDimension,
        intermediateSize: try reader.positive("intermediate_size"),
        contextLength: try reader.optionalPositive("max_position_embeddings") ?? 4096,
        tiesEmbeddings: try reader.bool("tie_word_embeddings", default: false))
      epsilon = try reader.positiveNumber("layer_norm_eps", default: 1e-5)
      activation = try reader.activation("hidden_act", default: .silu)
      inputsHaveBias = try reader.bool("use_qkv_bias", default: false)
      normsHeads = try reader.bool("qk_layernorm", default: false)
      isParallel = try reader.bool("use_parallel_residual", default: false)
      rotary = try RotaryEmbedding(
        reader,
        dimensions: try reader.rotaryDimensions(headDimension: headDimension, default: 0.25),
        contextLength: dimensions.contextLength)
    }
  }

  let configuration: Configuration
  var dimensions: ModelDimensions { configuration.dimensions }

  init(configuration reader: ConfigurationReader) throws(ArchitectureFault) {
    configuration = try Configuration(reader)
  }

  // MARK: Tensors

  var finalNormTensors: [TensorSpec] {
    TensorSpec.layerNorm(Self.finalNormName, dimensions.hiddenSize)
  }

  func blockTensors(_ layer: Int) -> [TensorSpec] {
    let width = dimensions.hiddenSize
    let prefix = Self.prefix(layer)
    var specs = TensorSpec.layerNorm(prefix + "input_layernorm", width)
    specs += attentionProjections(layer).specs(dimensions)
    if configuration.normsHeads {
      specs += headNormNames(layer, "q", dimensions.headCount).map(headNormSpec)
      specs += headNormNames(layer, "k", dimensions.keyValueHeadCount).map(headNormSpec)
    }
    if !configuration.isParallel {
      specs += TensorSpec.layerNorm(prefix + "post_attention_layernorm", width)
    }
    return specs + GatedProjections(prefix: prefix + "mlp.").specs(dimensions)
  }

  private func headNormSpec(_ name: String) -> TensorSpec {
    TensorSpec(name, [dimensions.headDimension], .norm)
  }

  private func headNormNames(_ layer: Int, _ letter: String, _ heads: Int) -> [String] {
    (0..<heads).map { head in
      "\(Self.prefix(layer))self_attn.\(letter)_layernorm.norms.\(head).weight"
    }
  }

  private func attentionProjections(_ layer: Int) -> AttentionProjections {
    AttentionProjections(
      prefix: Self.prefix(layer) + "self_attn.", inputsHaveBias: configuration.inputsHaveBias)
  }

  func keyValueShape(layer: Int) -> KeyValueShape { dimensions.keyValueShape(window: nil) }

  // MARK: Forward pass

  var rotaryEmbeddings: [RotaryEmbedding] { [configuration.rotary] }

  func makeBlock(
    layer: Int, _ tensors: LoadedTensors, rotary: [RotaryTable]
  ) throws(ArchitectureFault) -> any TransformerBlock {
    let prefix = Self.prefix(layer)
    let c = configuration
    let headNorms: HeadNorms? =
      c.normsHeads
      ? .layer(
        query: try tensors.stacked(headNormNames(layer, "q", dimensions.headCount)),
        key: try tensors.stacked(headNormNames(layer, "k", dimensions.keyValueHeadCount)),
        epsilon: Float(c.epsilon)) : nil
    let attention = try attentionProjections(layer).attention(
      tensors, shape: dimensions.attentionShape(window: nil), rotary: rotary[0],
      headNorms: headNorms)
    let feedForward = try GatedProjections(prefix: prefix + "mlp.").feedForward(
      tensors, activation: c.activation)
    let norm = try tensors.layerNorm(prefix + "input_layernorm", epsilon: c.epsilon)
    guard !c.isParallel else {
      return ParallelBlock(
        norm: norm, feedForwardNorm: nil, attention: attention, feedForward: feedForward)
    }
    return SequentialBlock(
      attentionNorm: norm, attention: attention,
      feedForwardNorm: try tensors.layerNorm(
        prefix + "post_attention_layernorm", epsilon: c.epsilon),
      feedForward: feedForward)
  }

  func finalNorm(_ tensors: LoadedTensors) throws(ArchitectureFault) -> Normalization {
    try tensors.layerNorm(Self.finalNormName, epsilon: configuration.epsilon)
  }
}
