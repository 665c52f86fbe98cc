import TensorCore
import TensorKernels

/// Phi-1, 1.5 and 2.
///
/// Reference: Li et al. 2023, "Textbooks Are All You Need II"; Hugging Face transformers,
/// `models/phi/modeling_phi.py`.
struct Phi: ModelArchitecture {
  static let family = "Phi-1, 1.5, 2"
  static let modelTypes = ["phi"]
  static let quirks = [
    "parallel attention and feed-forward behind one norm", "partial rotary",
    "biases everywhere, the head too", "grouped-query attention",
  ]

  // MARK: Configuration

  struct Configuration: Sendable {
    let dimensions: ModelDimensions
    /// layer_norm_eps.
    let epsilon: Double
    /// hidden_act.
    let activation: Activation
    /// rope_theta, partial_rotary_factor: the share of each head that rotates.
    let rotary: RotaryEmbedding

    init(_ reader: ConfigurationReader) throws(ArchitectureFault) {
      let hidden = try reader.positive("hidden_size")
      let heads = try reader.positive("num_attention_heads")
      let headDimension = try reader.headDimension(hiddenSize: hidden, headCount: heads)
      try reader.require("qk_layernorm", is: false)
      // The family has biases and an untied head, whatever the keys of other families say.
      try reader.require("tie_word_embeddings", is: false)
      dimensions = ModelDimensions(
        vocabularySize: try reader.positive("vocab_size"), hiddenSize: hidden,
        layerCount: try reader.positive("num_hidden_layers"), headCount: heads,
        keyValueHeadCount: try reader.keyValueHeads(heads: heads, default: heads),
        headDimension: headDimension,
        intermediateSize: try reader.optionalPositive("intermediate_size") ?? 4 * hidden,
        contextLength: try reader.optionalPositive("max_position_embeddings") ?? 2048,
        tiesEmbeddings: false)
      epsilon = try reader.positiveNumber("layer_norm_eps", default: 1e-5)
      activation = try reader.activation("hidden_act", default: .geluTanh)
      rotary = try RotaryEmbedding(
        reader,
        dimensions: try reader.rotaryDimensions(headDimension: headDimension, default: 0.5),
        contextLength: dimensions.contextLength)
    }
  }

  let configuration: Configuration
  var dimensions: ModelDimensions { configuration.dimensions }

  init(configuration reader: ConfigurationReader) throws(ArchitectureFault) {
    configuration = try Configuration(reader)
  }

  // MARK: Tensors

  private static let embeddingName = "model.embed_tokens"

  func tensors(of component: Component) -> [TensorSpec] {
    let d = dimensions
    let embedding = d.embedding(Self.embeddingName)
    switch component {
    case .embedding: return [embedding]
    case .block(let layer):
      let prefix = Self.prefix(layer)
      return TensorSpec.layerNorm(prefix + "input_layernorm", d.hiddenSize)
        + attentionProjections(layer).specs(d)
        + TensorSpec.linear(
          prefix + "mlp.fc1", d.intermediateSize, d.hiddenSize, .mlpUp, hasBias: true)
        + TensorSpec.linear(
          prefix + "mlp.fc2", d.hiddenSize, d.intermediateSize, .mlpDown, hasBias: true)
    case .head:
      return TensorSpec.head(
        TensorSpec.layerNorm("model.final_layernorm", d.hiddenSize), embedding: embedding,
        tied: false, hasBias: true)
    }
  }

  private func attentionProjections(_ layer: Int) -> AttentionProjections {
    AttentionProjections(
      prefix: Self.prefix(layer) + "self_attn.", output: "dense", inputsHaveBias: true,
      outputHasBias: true)
  }

  private static func prefix(_ layer: Int) -> String { "model.layers.\(layer)." }

  func keyValueShape(layer: Int) -> KeyValueShape { dimensions.keyValueShape(window: nil) }

  // MARK: Forward pass

  var rotaryEmbeddings: [RotaryEmbedding] { [configuration.rotary] }

  func makeEmbedding(_ tensors: LoadedTensors) throws(ArchitectureFault) -> any EmbeddingStage {
    TokenEmbedding(tokens: try tensors.matrix(Self.embeddingName + ".weight"))
  }

  func makeBlock(
    layer: Int, _ tensors: LoadedTensors, rotary: [RotaryTable]
  ) throws(ArchitectureFault) -> any TransformerBlock {
    let prefix = Self.prefix(layer)
    return ParallelBlock(
      norm: try tensors.layerNorm(prefix + "input_layernorm", epsilon: configuration.epsilon),
      feedForwardNorm: nil,
      attention: try attentionProjections(layer).attention(
        tensors, shape: dimensions.attentionShape(window: nil), rotary: rotary[0]),
      feedForward: PlainFeedForward(
        up: try tensors.linear(prefix + "mlp.fc1", hasBias: true),
        down: try tensors.linear(prefix + "mlp.fc2", hasBias: true),
        activation: configuration.activation))
  }

  func makeHead(_ tensors: LoadedTensors) throws(ArchitectureFault) -> any HeadStage {
    LanguageModelHead(
      norm: try tensors.layerNorm("model.final_layernorm", epsilon: configuration.epsilon),
      projection: try tensors.linear("lm_head", hasBias: true))
  }
}
