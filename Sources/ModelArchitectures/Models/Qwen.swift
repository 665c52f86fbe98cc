import TensorCore
import TensorKernels

/// Qwen 2, 2.5 (biases on q, k, v) and Qwen 3 (norms on the heads of q and k).
///
/// Reference: Yang et al. 2024, "Qwen2 Technical Report"; Hugging Face transformers,
/// `models/qwen2/modeling_qwen2.py` and `models/qwen3/modeling_qwen3.py`.
struct Qwen: LlamaNames {
  static let family = "Qwen 2, 2.5, 3"
  static let modelTypes = ["qwen2", "qwen3"]
  static let quirks = [
    "biases on q, k, v only (2, 2.5)", "q/k norm per head (3)",
    "head_dim apart from hidden_size / heads", "sliding window switched off or for upper layers",
    "tied embeddings",
  ]

  // MARK: Configuration

  struct Configuration: Sendable {
    let dimensions: ModelDimensions
    /// model_type qwen3: q/k norms, and biases only where attention_bias says so.
    let isThird: Bool
    /// rms_norm_eps.
    let epsilon: Double
    /// hidden_act.
    let activation: Activation
    /// Biases on q, k, v: always in Qwen 2, attention_bias in Qwen 3.
    let inputsHaveBias: Bool
    /// Bias on o: attention_bias in Qwen 3.
    let outputHasBias: Bool
    /// use_sliding_window, sliding_window, max_window_layers, layer_types.
    let windows: [Int?]
    let rotary: RotaryEmbedding

    init(_ reader: ConfigurationReader) throws(ArchitectureFault) {
      isThird = try reader.string("model_type") == "qwen3"
      let hidden = try reader.positive("hidden_size")
      let heads = try reader.positive("num_attention_heads")
      let given = try reader.optionalPositive("head_dim")
      let headDimension =
        isThird && given == nil
        ? 128 : try reader.headDimension(hiddenSize: hidden, headCount: heads)
      dimensions = ModelDimensions(
        vocabularySize: try reader.positive("vocab_size"), hiddenSize: hidden,
        layerCount: try reader.positive("num_hidden_layers"), headCount: heads,
        keyValueHeadCount: try reader.keyValueHeads(heads: heads, default: 32),
        headDimension: headDimension,
        intermediateSize: try reader.positive("intermediate_size"),
        contextLength: try reader.optionalPositive("max_position_embeddings") ?? 32_768,
        tiesEmbeddings: try reader.bool("tie_word_embeddings", default: false))
      epsilon = try reader.positiveNumber("rms_norm_eps", default: 1e-6)
      activation = try reader.activation("hidden_act", default: .silu)
      let attentionBias = try reader.bool("attention_bias", default: !isThird)
      if !isThird { try reader.require("attention_bias", is: true) }
      inputsHaveBias = attentionBias
      outputHasBias = isThird && attentionBias
      let slides = try reader.bool("use_sliding_window", default: false)
      let window = slides ? try reader.optionalPositive("sliding_window", default: 4096) : nil
      let firstSliding = try reader.count("max_window_layers", default: 28)
      windows = try reader.layerWindows(
        layerCount: dimensions.layerCount, window: window, isSliding: { $0 >= firstSliding })
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
    let prefix = Self.prefix(layer)
    let headNorms =
      configuration.isThird
      ? ["q_norm", "k_norm"].map {
        TensorSpec(prefix + "self_attn.\($0).weight", [dimensions.headDimension], .norm)
      } : []
    return [TensorSpec.rmsNorm(prefix + "input_layernorm", dimensions.hiddenSize)]
      + attentionProjections(layer).specs(dimensions) + headNorms
      + [TensorSpec.rmsNorm(prefix + "post_attention_layernorm", dimensions.hiddenSize)]
      + GatedProjections(prefix: prefix + "mlp.").specs(dimensions)
  }

  private func attentionProjections(_ layer: Int) -> AttentionProjections {
    AttentionProjections(
      prefix: Self.prefix(layer) + "self_attn.", inputsHaveBias: configuration.inputsHaveBias,
      outputHasBias: configuration.outputHasBias)
  }

  func keyValueShape(layer: Int) -> KeyValueShape {
    dimensions.keyValueShape(window: configuration.windows[layer])
  }

  // MARK: Forward pass

  var rotaryEmbeddings: [RotaryEmbedding] { [configuration.rotary] }

  func makeBlock(
    layer: Int, _ tensors: LoadedTensors, rotary: [RotaryTable]
  ) throws(ArchitectureFault) -> any TransformerBlock {
    let prefix = Self.prefix(layer)
    let c = configuration
    let headNorms: HeadNorms? =
      c.isThird
      ? .rootMeanSquare(
        query: try tensors.vector(prefix + "self_attn.q_norm.weight"),
        key: try tensors.vector(prefix + "self_attn.k_norm.weight"), epsilon: Float(c.epsilon),
        weightOffset: 0) : nil
    return SequentialBlock(
      attentionNorm: try tensors.rmsNorm(prefix + "input_layernorm", epsilon: c.epsilon),
      attention: try attentionProjections(layer).attention(
        tensors, shape: dimensions.attentionShape(window: c.windows[layer]), rotary: rotary[0],
        headNorms: headNorms),
      feedForwardNorm: try tensors.rmsNorm(
        prefix + "post_attention_layernorm", epsilon: c.epsilon),
      feedForward: try GatedProjections(prefix: prefix + "mlp.").feedForward(
        tensors, activation: c.activation))
  }

  func finalNorm(_ tensors: LoadedTensors) throws(ArchitectureFault) -> Normalization {
    try tensors.rmsNorm(Self.finalNormName, epsilon: configuration.epsilon)
  }
}
