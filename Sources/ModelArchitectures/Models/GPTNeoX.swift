import Quantization
import TensorCore
import TensorKernels

/// GPT-NeoX and Pythia.
///
/// Reference: Black et al. 2022, "GPT-NeoX-20B"; Hugging Face transformers,
/// `models/gpt_neox/modeling_gpt_neox.py`.
struct GPTNeoX: ModelArchitecture {
  static let family = "GPT-NeoX, Pythia"
  static let modelTypes = ["gpt_neox"]
  static let quirks = [
    "fused qkv interleaved per head", "partial rotary", "parallel residual with two norms",
    "tied embeddings", "biases",
  ]

  // MARK: Configuration

  struct Configuration: Sendable {
    let dimensions: ModelDimensions
    /// layer_norm_eps.
    let epsilon: Double
    /// hidden_act.
    let activation: Activation
    /// attention_bias: biases of query_key_value and dense.
    let attentionHasBias: Bool
    /// use_parallel_residual.
    let isParallel: Bool
    /// rotary_emb_base and rotary_pct, or rope_parameters.
    let rotary: RotaryEmbedding

    init(_ reader: ConfigurationReader) throws(ArchitectureFault) {
      let hidden = try reader.positive("hidden_size")
      let heads = try reader.positive("num_attention_heads")
      let headDimension = try reader.headDimension(
        hiddenSize: hidden, headCount: heads, isFree: false)
      dimensions = ModelDimensions(
        vocabularySize: try reader.positive("vocab_size"), hiddenSize: hidden,
        layerCount: try reader.positive("num_hidden_layers"), headCount: heads,
        keyValueHeadCount: heads, headDimension: headDimension,
        intermediateSize: try reader.positive("intermediate_size"),
        contextLength: try reader.optionalPositive("max_position_embeddings") ?? 2048,
        tiesEmbeddings: try reader.bool("tie_word_embeddings", default: false))
      epsilon = try reader.positiveNumber("layer_norm_eps", default: 1e-5)
      activation = try reader.activation("hidden_act", default: .gelu)
      attentionHasBias = try reader.bool("attention_bias", default: true)
      isParallel = try reader.bool("use_parallel_residual", default: true)
      rotary = try RotaryEmbedding(
        reader,
        dimensions: try reader.rotaryDimensions(
          headDimension: headDimension, shareKey: "rotary_pct", default: 0.25),
        contextLength: dimensions.contextLength, baseKey: "rotary_emb_base")
      if let base = try reader.number("rope_theta"), base != rotary.base {
        throw .configuration("rope_theta", "is \(base), but rotary_emb_base is \(rotary.base)")
      }
    }
  }

  let configuration: Configuration
  var dimensions: ModelDimensions { configuration.dimensions }

  init(configuration reader: ConfigurationReader) throws(ArchitectureFault) {
    configuration = try Configuration(reader)
  }

  // MARK: Tensors

  private static let embeddingName = "gpt_neox.embed_in"

  func tensors(of component: Component) -> [TensorSpec] {
    let d = dimensions
    let embedding = d.embedding(Self.embeddingName, head: "embed_out")
    switch component {
    case .embedding: return [embedding]
    case .block(let layer): return blockTensors(layer)
    case .head:
      return TensorSpec.head(
        TensorSpec.layerNorm("gpt_neox.final_layer_norm", d.hiddenSize), embedding: embedding,
        name: "embed_out", tied: d.tiesEmbeddings)
    }
  }

  /// query_key_value holds, head after head, that head's query, key and value.
  private func blockTensors(_ layer: Int) -> [TensorSpec] {
    let d = dimensions
    let prefix = Self.prefix(layer)
    let fused = FusedSource(
      name: prefix + "attention.query_key_value.weight", shape: [3 * d.hiddenSize, d.hiddenSize])
    let fusedBias = FusedSource(
      name: prefix + "attention.query_key_value.bias", shape: [3 * d.hiddenSize])
    var specs = TensorSpec.layerNorm(prefix + "input_layernorm", d.hiddenSize)
    specs += TensorSpec.layerNorm(prefix + "post_attention_layernorm", d.hiddenSize)
    let parts: [(String, TensorRole)] = [
      ("q_proj", .attentionQuery), ("k_proj", .attentionKey), ("v_proj", .attentionValue),
    ]
    for (index, (name, role)) in parts.enumerated() {
      let channels = (0..<d.headCount).map { head in
        let begin = (3 * head + index) * d.headDimension
        return begin..<(begin + d.headDimension)
      }
      specs.append(fused.part("\(prefix)attention.\(name).weight", channels, role))
      if configuration.attentionHasBias {
        specs.append(fusedBias.part("\(prefix)attention.\(name).bias", channels, .bias))
      }
    }
    specs += TensorSpec.linear(
      prefix + "attention.dense", d.hiddenSize, d.hiddenSize, .attentionOutput,
      hasBias: configuration.attentionHasBias)
    specs += TensorSpec.linear(
      prefix + "mlp.dense_h_to_4h", d.intermediateSize, d.hiddenSize, .mlpUp, hasBias: true)
    specs += TensorSpec.linear(
      prefix + "mlp.dense_4h_to_h", d.hiddenSize, d.intermediateSize, .mlpDown, hasBias: true)
    return specs
  }

  private static func prefix(_ layer: Int) -> String { "gpt_neox.layers.\(layer)." }

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
    let c = configuration
    let projections = AttentionProjections(
      prefix: prefix + "attention.", output: "dense", inputsHaveBias: c.attentionHasBias,
      outputHasBias: c.attentionHasBias)
    let attention = try projections.attention(
      tensors, shape: dimensions.attentionShape(window: nil), rotary: rotary[0])
    let first = try tensors.layerNorm(prefix + "input_layernorm", epsilon: c.epsilon)
    let second = try tensors.layerNorm(prefix + "post_attention_layernorm", epsilon: c.epsilon)
    let feedForward = PlainFeedForward(
      up: try tensors.linear(prefix + "mlp.dense_h_to_4h", hasBias: true),
      down: try tensors.linear(prefix + "mlp.dense_4h_to_h", hasBias: true),
      activation: c.activation)
    guard c.isParallel else {
      return SequentialBlock(
        attentionNorm: first, attention: attention, feedForwardNorm: second,
        feedForward: feedForward)
    }
    return ParallelBlock(
      norm: first, feedForwardNorm: second, attention: attention, feedForward: feedForward)
  }

  func makeHead(_ tensors: LoadedTensors) throws(ArchitectureFault) -> any HeadStage {
    LanguageModelHead(
      norm: try tensors.layerNorm("gpt_neox.final_layer_norm", epsilon: configuration.epsilon),
      projection: try tensors.linear(
        dimensions.tiesEmbeddings ? Self.embeddingName : "embed_out"))
  }
}
