import TensorCore
import TensorKernels

/// Llama 1, 2 and 3, and Mistral, which differs by its sliding window only.
///
/// Reference: Touvron et al. 2023, "Llama 2"; Jiang et al. 2023, "Mistral 7B"; Hugging Face
/// transformers, `models/llama/modeling_llama.py` and `models/mistral/modeling_mistral.py`.
struct Llama: LlamaNames {
  static let family = "Llama, Mistral"
  static let modelTypes = ["llama", "mistral"]
  static let quirks = [
    "grouped-query attention", "rotary over halves of a head", "sliding window",
    "rope scaling (linear, llama3, yarn)", "head_dim apart from hidden_size / heads",
    "tied embeddings", "biases", "names with and without `model.`",
  ]

  // MARK: Configuration

  /// What config.json says, by its keys.
  struct Configuration: Sendable {
    let dimensions: ModelDimensions
    /// rms_norm_eps: ε of every norm.
    let epsilon: Double
    /// hidden_act.
    let activation: Activation
    /// attention_bias: biases on q, k, v and o (Llama only).
    let attentionHasBias: Bool
    /// mlp_bias: biases on gate, up and down (Llama only).
    let feedForwardHasBias: Bool
    /// sliding_window: keys a token attends to; null means all (Mistral only).
    let window: Int?
    let rotary: RotaryEmbedding

    init(_ reader: ConfigurationReader) throws(ArchitectureFault) {
      let isMistral = try reader.string("model_type") == "mistral"
      let hidden = try reader.positive("hidden_size")
      let heads = try reader.positive("num_attention_heads")
      let headDimension = try reader.headDimension(hiddenSize: hidden, headCount: heads)
      dimensions = ModelDimensions(
        vocabularySize: try reader.positive("vocab_size"), hiddenSize: hidden,
        layerCount: try reader.positive("num_hidden_layers"), headCount: heads,
        keyValueHeadCount: try reader.keyValueHeads(
          heads: heads, default: isMistral ? 8 : heads), headDimension: headDimension,
        intermediateSize: try reader.positive("intermediate_size"),
        contextLength: try reader.optionalPositive("max_position_embeddings")
          ?? (isMistral ? 131_072 : 2048),
        tiesEmbeddings: try reader.bool("tie_word_embeddings", default: false))
      epsilon = try reader.positiveNumber("rms_norm_eps", default: 1e-6)
      activation = try reader.activation("hidden_act", default: .silu)
      if isMistral {
        try reader.require("attention_bias", is: false)
        try reader.require("mlp_bias", is: false)
        // A config without the key comes from a time when 4096 was the default.
        window = try reader.optionalPositive("sliding_window", default: 4096)
      } else {
        window = nil
      }
      attentionHasBias = try reader.bool("attention_bias", default: false)
      feedForwardHasBias = try reader.bool("mlp_bias", default: false)
      rotary = try RotaryEmbedding(
        reader, dimensions: headDimension, contextLength: dimensions.contextLength)
    }
  }

  let configuration: Configuration
  var dimensions: ModelDimensions { configuration.dimensions }

  init(configuration reader: ConfigurationReader) throws(ArchitectureFault) {
    configuration = try Configuration(reader)
  }

  // MARK: Tensors

  func blockTensors(_ layer: Int) -> [TensorSpec] {
    let width = dimensions.hiddenSize
    let prefix = Self.prefix(layer)
    return [TensorSpec.rmsNorm(prefix + "input_layernorm", width)]
      + attentionProjections(layer).specs(dimensions)
      + [TensorSpec.rmsNorm(prefix + "post_attention_layernorm", width)]
      + feedForwardProjections(layer).specs(dimensions)
  }

  private func attentionProjections(_ layer: Int) -> AttentionProjections {
    AttentionProjections(
      prefix: Self.prefix(layer) + "self_attn.",
      inputsHaveBias: configuration.attentionHasBias,
      outputHasBias: configuration.attentionHasBias)
  }

  private func feedForwardProjections(_ layer: Int) -> GatedProjections {
    GatedProjections(
      prefix: Self.prefix(layer) + "mlp.", hasBias: configuration.feedForwardHasBias)
  }

  func keyValueShape(layer: Int) -> KeyValueShape {
    dimensions.keyValueShape(window: configuration.window)
  }

  // MARK: Forward pass

  var rotaryEmbeddings: [RotaryEmbedding] { [configuration.rotary] }

  func makeBlock(
    layer: Int, _ tensors: LoadedTensors, rotary: [RotaryTable]
  ) throws(ArchitectureFault) -> any TransformerBlock {
    let prefix = Self.prefix(layer)
    let c = configuration
    return SequentialBlock(
      attentionNorm: try tensors.rmsNorm(prefix + "input_layernorm", epsilon: c.epsilon),
      attention: try attentionProjections(layer).attention(
        tensors, shape: dimensions.attentionShape(window: c.window), rotary: rotary[0]),
      feedForwardNorm: try tensors.rmsNorm(
        prefix + "post_attention_layernorm", epsilon: c.epsilon),
      feedForward: try feedForwardProjections(layer).feedForward(
        tensors, activation: c.activation))
  }

  func finalNorm(_ tensors: LoadedTensors) throws(ArchitectureFault) -> Normalization {
    try tensors.rmsNorm(Self.finalNormName, epsilon: configuration.epsilon)
  }
}
