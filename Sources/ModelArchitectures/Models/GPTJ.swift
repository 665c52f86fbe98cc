import TensorCore
import TensorKernels

/// GPT-J.
///
/// Reference: Wang & Komatsuzaki 2021, "GPT-J-6B"; Hugging Face transformers,
/// `models/gptj/modeling_gptj.py`.
struct GPTJ: ModelArchitecture {
  static let family = "GPT-J"
  static let modelTypes = ["gptj"]
  static let quirks = [
    "parallel attention and feed-forward behind one norm",
    "partial rotary over neighbouring pairs", "bias on the head", "biases of the feed-forward",
  ]

  // MARK: Configuration

  struct Configuration: Sendable {
    let dimensions: ModelDimensions
    /// layer_norm_epsilon.
    let epsilon: Double
    /// activation_function.
    let activation: Activation
    /// rotary_dim: channels of each head that rotate, in pairs of neighbours.
    let rotary: RotaryEmbedding

    init(_ reader: ConfigurationReader) throws(ArchitectureFault) {
      let hidden = try reader.positive("n_embd", "hidden_size")
      let heads = try reader.positive("n_head", "num_attention_heads")
      let headDimension = try reader.headDimension(
        hiddenSize: hidden, headCount: heads, isFree: false)
      try reader.require("rotary", is: true)
      try reader.require("scale_attn_weights", is: true)
      try reader.require("tie_word_embeddings", is: false)
      let rotaryDimensions = try Self.rotaryDimensions(
        reader, headCount: heads, headDimension: headDimension)
      dimensions = ModelDimensions(
        vocabularySize: try reader.positive("vocab_size"), hiddenSize: hidden,
        layerCount: try reader.positive("n_layer", "num_hidden_layers"), headCount: heads,
        keyValueHeadCount: heads, headDimension: headDimension,
        intermediateSize: try reader.optionalPositive("n_inner") ?? 4 * hidden,
        contextLength: try reader.optionalPositive("n_positions") ?? 2048, tiesEmbeddings: false)
      epsilon = try reader.positiveNumber("layer_norm_epsilon", default: 1e-5)
      activation = try reader.activation("activation_function", default: .geluTanh)
      var rotary = try RotaryEmbedding(
        reader, dimensions: rotaryDimensions, contextLength: dimensions.contextLength)
      rotary.isInterleaved = true
      guard rotary.base == 10_000, case .none = rotary.scaling else {
        throw .configuration("rope_theta", "or a scaling is set, which the family does not know")
      }
      self.rotary = rotary
    }

    /// rotary_dim, by default 64; null means that a table as wide as hidden_size turns each head,
    /// which one head alone can be as wide as.
    private static func rotaryDimensions(
      _ reader: ConfigurationReader, headCount: Int, headDimension: Int
    ) throws(ArchitectureFault) -> Int {
      let key = "rotary_dim"
      guard let count = try reader.optionalPositive(key, default: 64) else {
        guard headCount == 1 else {
          throw .configuration(
            key,
            "is null, which a model with \(headCount) heads cannot have; expected how many of a "
              + "head's \(headDimension) channels rotate")
        }
        return headDimension
      }
      guard count <= headDimension else {
        let found =
          reader.isPresent(key) ? "is \(count)" : "is missing, and its default is \(count)"
        throw .configuration(key, "\(found), more than the \(headDimension) of a head")
      }
      return count
    }
  }

  let configuration: Configuration
  var dimensions: ModelDimensions { configuration.dimensions }

  init(configuration reader: ConfigurationReader) throws(ArchitectureFault) {
    configuration = try Configuration(reader)
  }

  // MARK: Tensors

  func tensors(of component: Component) -> [TensorSpec] {
    let d = dimensions
    let embedding = d.embedding("transformer.wte")
    switch component {
    case .embedding: return [embedding]
    case .block(let layer):
      let prefix = Self.prefix(layer)
      return TensorSpec.layerNorm(prefix + "ln_1", d.hiddenSize)
        + attentionProjections(layer).specs(d)
        + TensorSpec.linear(
          prefix + "mlp.fc_in", d.intermediateSize, d.hiddenSize, .mlpUp, hasBias: true)
        + TensorSpec.linear(
          prefix + "mlp.fc_out", d.hiddenSize, d.intermediateSize, .mlpDown, hasBias: true)
    case .head:
      return TensorSpec.head(
        TensorSpec.layerNorm("transformer.ln_f", d.hiddenSize), embedding: embedding,
        tied: false, hasBias: true)
    }
  }

  private func attentionProjections(_ layer: Int) -> AttentionProjections {
    AttentionProjections(prefix: Self.prefix(layer) + "attn.", output: "out_proj")
  }

  private static func prefix(_ layer: Int) -> String { "transformer.h.\(layer)." }

  func keyValueShape(layer: Int) -> KeyValueShape { dimensions.keyValueShape(window: nil) }

  // MARK: Forward pass

  var rotaryEmbeddings: [RotaryEmbedding] { [configuration.rotary] }

  func makeEmbedding(_ tensors: LoadedTensors) throws(ArchitectureFault) -> any EmbeddingStage {
    TokenEmbedding(tokens: try tensors.matrix("transformer.wte.weight"))
  }

  func makeBlock(
    layer: Int, _ tensors: LoadedTensors, rotary: [RotaryTable]
  ) throws(ArchitectureFault) -> any TransformerBlock {
    let prefix = Self.prefix(layer)
    return ParallelBlock(
      norm: try tensors.layerNorm(prefix + "ln_1", epsilon: configuration.epsilon),
      feedForwardNorm: nil,
      attention: try attentionProjections(layer).attention(
        tensors, shape: dimensions.attentionShape(window: nil), rotary: rotary[0]),
      feedForward: PlainFeedForward(
        up: try tensors.linear(prefix + "mlp.fc_in", hasBias: true),
        down: try tensors.linear(prefix + "mlp.fc_out", hasBias: true),
        activation: configuration.activation))
  }

  func makeHead(_ tensors: LoadedTensors) throws(ArchitectureFault) -> any HeadStage {
    LanguageModelHead(
      norm: try tensors.layerNorm("transformer.ln_f", epsilon: configuration.epsilon),
      projection: try tensors.linear("lm_head", hasBias: true))
  }
}
