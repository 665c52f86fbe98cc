import Quantization
import TensorCore
import TensorKernels

/// GPT-2, from small to XL.
///
/// Reference: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners";
/// Hugging Face transformers, `models/gpt2/modeling_gpt2.py`.
struct GPT2: ModelArchitecture {
  static let family = "GPT-2"
  static let modelTypes = ["gpt2"]
  static let quirks = [
    "linear weights stored [in, out] (Conv1D)", "fused c_attn", "learned positions",
    "tied embeddings", "names with and without `transformer.`, stored mask buffers",
    "scores divided by the layer's number",
  ]

  // MARK: Configuration

  struct Configuration: Sendable {
    let dimensions: ModelDimensions
    /// layer_norm_epsilon.
    let epsilon: Double
    /// activation_function.
    let activation: Activation
    /// scale_attn_by_inverse_layer_idx: scores of layer i are divided by i + 1.
    let scalesByLayer: Bool

    init(_ reader: ConfigurationReader) throws(ArchitectureFault) {
      let hidden = try reader.positive("n_embd", "hidden_size")
      let heads = try reader.positive("n_head", "num_attention_heads")
      guard hidden % heads == 0 else {
        throw .configuration("n_embd", "is \(hidden), no multiple of the \(heads) heads")
      }
      try reader.require("scale_attn_weights", is: true)
      dimensions = ModelDimensions(
        vocabularySize: try reader.positive("vocab_size"), hiddenSize: hidden,
        layerCount: try reader.positive("n_layer", "num_hidden_layers"), headCount: heads,
        keyValueHeadCount: heads, headDimension: hidden / heads,
        intermediateSize: try reader.optionalPositive("n_inner") ?? 4 * hidden,
        contextLength: try reader.positive("n_positions", "max_position_embeddings"),
        tiesEmbeddings: try reader.bool("tie_word_embeddings", default: true))
      epsilon = try reader.positiveNumber("layer_norm_epsilon", default: 1e-5)
      activation = try reader.activation("activation_function", default: .geluTanh)
      scalesByLayer = try reader.bool("scale_attn_by_inverse_layer_idx", default: false)
    }
  }

  let configuration: Configuration
  var dimensions: ModelDimensions { configuration.dimensions }

  init(configuration reader: ConfigurationReader) throws(ArchitectureFault) {
    configuration = try Configuration(reader)
  }

  // MARK: Tensors

  private static let embeddingName = "transformer.wte"
  private static let positionsName = "transformer.wpe.weight"

  func tensors(of component: Component) -> [TensorSpec] {
    let d = dimensions
    let embedding = d.embedding(Self.embeddingName)
    switch component {
    case .embedding:
      let positions = TensorSpec(
        Self.positionsName, [d.contextLength, d.hiddenSize], .positionEmbedding)
      return [embedding, positions]
    case .block(let layer): return blockTensors(layer)
    case .head:
      return TensorSpec.head(
        TensorSpec.layerNorm("transformer.ln_f", d.hiddenSize), embedding: embedding,
        tied: d.tiesEmbeddings)
    }
  }

  /// Weights are stored [in, out]; c_attn holds queries, keys and values side by side.
  private func blockTensors(_ layer: Int) -> [TensorSpec] {
    let width = dimensions.hiddenSize
    let prefix = Self.prefix(layer)
    let fused = FusedSource(
      name: prefix + "attn.c_attn.weight", shape: [width, 3 * width], isTransposed: true)
    let fusedBias = FusedSource(name: prefix + "attn.c_attn.bias", shape: [3 * width])
    var specs = TensorSpec.layerNorm(prefix + "ln_1", width)
    let parts: [(String, TensorRole)] = [
      ("q_proj", .attentionQuery), ("k_proj", .attentionKey), ("v_proj", .attentionValue),
    ]
    for (index, (name, role)) in parts.enumerated() {
      let channels = [(index * width)..<((index + 1) * width)]
      specs.append(fused.part("\(prefix)attn.\(name).weight", channels, role))
      specs.append(fusedBias.part("\(prefix)attn.\(name).bias", channels, .bias))
    }
    specs += TensorSpec.convolution(prefix + "attn.c_proj", width, width, .attentionOutput)
    specs += TensorSpec.layerNorm(prefix + "ln_2", width)
    specs += TensorSpec.convolution(
      prefix + "mlp.c_fc", dimensions.intermediateSize, width, .mlpUp)
    specs += TensorSpec.convolution(
      prefix + "mlp.c_proj", width, dimensions.intermediateSize, .mlpDown)
    return specs
  }

  private static func prefix(_ layer: Int) -> String { "transformer.h.\(layer)." }

  func keyValueShape(layer: Int) -> KeyValueShape { dimensions.keyValueShape(window: nil) }

  // MARK: Forward pass

  var rotaryEmbeddings: [RotaryEmbedding] { [] }

  func makeEmbedding(_ tensors: LoadedTensors) throws(ArchitectureFault) -> any EmbeddingStage {
    TokenEmbedding(
      tokens: try tensors.matrix(Self.embeddingName + ".weight"),
      positions: try tensors.matrix(Self.positionsName))
  }

  func makeBlock(
    layer: Int, _ tensors: LoadedTensors, rotary: [RotaryTable]
  ) throws(ArchitectureFault) -> any TransformerBlock {
    let prefix = Self.prefix(layer)
    let epsilon = configuration.epsilon
    let divisor = configuration.scalesByLayer ? Double(layer + 1) : 1
    let scale = Float(1 / Double(dimensions.headDimension).squareRoot() / divisor)
    let projections = AttentionProjections(
      prefix: prefix + "attn.", output: "c_proj", inputsHaveBias: true, outputHasBias: true)
    return SequentialBlock(
      attentionNorm: try tensors.layerNorm(prefix + "ln_1", epsilon: epsilon),
      attention: try projections.attention(
        tensors,
        shape: AttentionShape(
          heads: dimensions.headCount, keyValueHeads: dimensions.headCount,
          headDimension: dimensions.headDimension, scale: scale, window: nil, softcap: nil),
        rotary: nil),
      feedForwardNorm: try tensors.layerNorm(prefix + "ln_2", epsilon: epsilon),
      feedForward: PlainFeedForward(
        up: try tensors.linear(prefix + "mlp.c_fc", hasBias: true),
        down: try tensors.linear(prefix + "mlp.c_proj", hasBias: true),
        activation: configuration.activation))
  }

  func makeHead(_ tensors: LoadedTensors) throws(ArchitectureFault) -> any HeadStage {
    LanguageModelHead(
      norm: try tensors.layerNorm("transformer.ln_f", epsilon: configuration.epsilon),
      projection: try tensors.linear(dimensions.tiesEmbeddings ? Self.embeddingName : "lm_head"))
  }
}

extension TensorSpec {
  /// Weight, stored [in, out], and bias of a Conv1D layer.
  fileprivate static func convolution(
    _ name: String, _ outputs: Int, _ inputs: Int, _ role: TensorRole
  ) -> [TensorSpec] {
    let stored = FusedSource(
      name: name + ".weight", shape: [inputs, outputs], isTransposed: true)
    return [
      stored.part(name + ".weight", nil, role), TensorSpec(name + ".bias", [outputs], .bias),
    ]
  }
}
