import TensorCore
import TensorKernels

/// Phi-3, 3.5 and 4 mini: Llama's block with fused projections, which we store split.
///
/// Reference: Abdin et al. 2024, "Phi-3 Technical Report"; Hugging Face transformers,
/// `models/phi3/modeling_phi3.py`.
struct Phi3: LlamaNames {
  static let family = "Phi-3, 3.5, 4-mini"
  static let modelTypes = ["phi3"]
  static let quirks = [
    "fused qkv_proj and gate_up_proj", "long rope", "sliding window", "partial rotary",
  ]

  // MARK: Configuration

  struct Configuration: Sendable {
    let dimensions: ModelDimensions
    /// rms_norm_eps.
    let epsilon: Double
    /// hidden_act.
    let activation: Activation
    /// sliding_window; null means all keys.
    let window: Int?
    /// rope_theta, rope_scaling (longrope), original_max_position_embeddings.
    let rotary: RotaryEmbedding

    init(_ reader: ConfigurationReader) throws(ArchitectureFault) {
      let hidden = try reader.positive("hidden_size")
      let heads = try reader.positive("num_attention_heads")
      let headDimension = try reader.headDimension(hiddenSize: hidden, headCount: heads)
      try reader.require("attention_bias", is: false)
      dimensions = ModelDimensions(
        vocabularySize: try reader.positive("vocab_size"), hiddenSize: hidden,
        layerCount: try reader.positive("num_hidden_layers"), headCount: heads,
        keyValueHeadCount: try reader.keyValueHeads(heads: heads, default: heads),
        headDimension: headDimension,
        intermediateSize: try reader.positive("intermediate_size"),
        contextLength: try reader.optionalPositive("max_position_embeddings") ?? 4096,
        tiesEmbeddings: try reader.bool("tie_word_embeddings", default: false))
      epsilon = try reader.positiveNumber("rms_norm_eps", default: 1e-5)
      activation = try reader.activation("hidden_act", default: .silu)
      window = try reader.optionalPositive("sliding_window")
      rotary = try RotaryEmbedding(
        reader,
        dimensions: try reader.rotaryDimensions(headDimension: headDimension, default: 1),
        contextLength: dimensions.contextLength, defaultOriginal: 4096)
      switch rotary.scaling {
      case .none, .long: break
      default: throw .configuration("rope_scaling", "is no longrope, the only one of Phi-3")
      }
    }
  }

  let configuration: Configuration
  var dimensions: ModelDimensions { configuration.dimensions }

  init(configuration reader: ConfigurationReader) throws(ArchitectureFault) {
    configuration = try Configuration(reader)
  }

  // MARK: Tensors

  func blockTensors(_ layer: Int) -> [TensorSpec] {
    let d = dimensions
    let prefix = Self.prefix(layer)
    let fused = FusedSource(
      name: prefix + "self_attn.qkv_proj.weight",
      shape: [(d.headCount + 2 * d.keyValueHeadCount) * d.headDimension, d.hiddenSize])
    let keysBegin = d.headCount * d.headDimension
    let keys = d.keyValueHeadCount * d.headDimension
    let valuesBegin = keysBegin + keys
    let gateUp = FusedSource(
      name: prefix + "mlp.gate_up_proj.weight", shape: [2 * d.intermediateSize, d.hiddenSize])
    let attention = prefix + "self_attn."
    return [
      TensorSpec.rmsNorm(prefix + "input_layernorm", d.hiddenSize),
      fused.part(attention + "q_proj.weight", [0..<keysBegin], .attentionQuery),
      fused.part(attention + "k_proj.weight", [keysBegin..<valuesBegin], .attentionKey),
      fused.part(
        attention + "v_proj.weight", [valuesBegin..<(valuesBegin + keys)], .attentionValue),
      TensorSpec(
        attention + "o_proj.weight", [d.hiddenSize, keysBegin], .attentionOutput),
      TensorSpec.rmsNorm(prefix + "post_attention_layernorm", d.hiddenSize),
      gateUp.part(prefix + "mlp.gate_proj.weight", [0..<d.intermediateSize], .mlpGate),
      gateUp.part(
        prefix + "mlp.up_proj.weight", [d.intermediateSize..<(2 * d.intermediateSize)], .mlpUp),
      TensorSpec(prefix + "mlp.down_proj.weight", [d.hiddenSize, d.intermediateSize], .mlpDown),
    ]
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
      attention: try AttentionProjections(prefix: prefix + "self_attn.").attention(
        tensors, shape: dimensions.attentionShape(window: c.window), rotary: rotary[0]),
      feedForwardNorm: try tensors.rmsNorm(
        prefix + "post_attention_layernorm", epsilon: c.epsilon),
      feedForward: try GatedProjections(prefix: prefix + "mlp.").feedForward(
        tensors, activation: c.activation))
  }

  func finalNorm(_ tensors: LoadedTensors) throws(ArchitectureFault) -> Normalization {
    try tensors.rmsNorm(Self.finalNormName, epsilon: configuration.epsilon)
  }
}
