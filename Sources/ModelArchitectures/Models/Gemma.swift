import StrictJSON
import TensorCore
import TensorKernels

/// Gemma 1, 2 and 3 (text).
///
/// Reference: Gemma Team 2024 and 2025, technical reports; Hugging Face transformers,
/// `models/gemma/modeling_gemma.py`, `models/gemma2/modeling_gemma2.py`,
/// `models/gemma3/modeling_gemma3.py`.
struct Gemma: LlamaNames {
  static let family = "Gemma 1, 2, 3"
  static let modelTypes = ["gemma", "gemma2", "gemma3_text"]
  static let quirks = [
    "norm weights count as 1 + w", "embeddings times √hidden_size",
    "hidden_act gelu means the tanh form (1)", "soft-capped scores and logits (2)",
    "query_pre_attn_scalar (2, 3)", "norms before and after both parts (2, 3)",
    "alternating windows (2, 3)", "q/k norm and two rope bases (3)", "tied embeddings",
  ]

  // MARK: Configuration

  enum Generation: String, Sendable {
    case first = "gemma"
    case second = "gemma2"
    case third = "gemma3_text"
  }

  struct Configuration: Sendable {
    let generation: Generation
    let dimensions: ModelDimensions
    /// rms_norm_eps.
    let epsilon: Double
    /// hidden_activation; the old key hidden_act says gelu and means the tanh form.
    let activation: Activation
    /// attention_bias.
    let attentionHasBias: Bool
    /// query_pre_attn_scalar^-½ (2, 3), head_dim^-½ (1).
    let attentionScale: Float
    /// attn_logit_softcapping.
    let attentionSoftcap: Float?
    /// final_logit_softcapping.
    let finalSoftcap: Float?
    /// sliding_window with layer_types, or the family's pattern.
    let windows: [Int?]
    /// rope of layers that attend to everything.
    let rotary: RotaryEmbedding
    /// rope of sliding layers (Gemma 3: rope_local_base_freq); nil where it is the same.
    let localRotary: RotaryEmbedding?

    init(_ reader: ConfigurationReader) throws(ArchitectureFault) {
      let type = try reader.string("model_type")
      generation = Generation(rawValue: type) ?? .first
      let heads = try reader.positive("num_attention_heads")
      let headDimension = try reader.optionalPositive("head_dim") ?? 256
      dimensions = ModelDimensions(
        vocabularySize: try reader.positive("vocab_size"),
        hiddenSize: try reader.positive("hidden_size"),
        layerCount: try reader.positive("num_hidden_layers"), headCount: heads,
        keyValueHeadCount: try reader.keyValueHeads(
          heads: heads, default: generation == .first ? 16 : 4),
        headDimension: headDimension,
        intermediateSize: try reader.positive("intermediate_size"),
        contextLength: try reader.optionalPositive("max_position_embeddings")
          ?? (generation == .third ? 131_072 : 8192),
        tiesEmbeddings: try reader.bool("tie_word_embeddings", default: true))
      epsilon = try reader.positiveNumber("rms_norm_eps", default: 1e-6)
      activation = try Self.activation(reader, generation)
      attentionHasBias = try reader.bool("attention_bias", default: false)
      let isFirst = generation == .first
      let scalar =
        isFirst
        ? Double(headDimension)
        : try reader.positiveNumber("query_pre_attn_scalar", default: 256)
      attentionScale = Float(1 / scalar.squareRoot())
      let isSecond = generation == .second
      attentionSoftcap = try Self.softcap(
        reader, "attn_logit_softcapping", default: isSecond ? 50 : nil)
      finalSoftcap = try Self.softcap(
        reader, "final_logit_softcapping", default: isSecond ? 30 : nil)
      windows = try Self.windows(reader, generation, layerCount: dimensions.layerCount)
      (rotary, localRotary) = try Self.rotary(reader, generation, dimensions)
    }

    /// Gemma 1 says hidden_act, at first with the value gelu where it meant the tanh form.
    private static func activation(
      _ reader: ConfigurationReader, _ generation: Generation
    ) throws(ArchitectureFault) -> Activation {
      let new = try reader.activation("hidden_activation", default: .geluTanh)
      let oldName = try reader.optionalString("hidden_act")
      guard generation == .first, oldName != nil, oldName != "gelu" else { return new }
      let old = try reader.activation("hidden_act", default: new)
      guard old == new || !reader.has("hidden_activation") else {
        throw .configuration("hidden_act", "is not what hidden_activation says")
      }
      return old
    }

    private static func softcap(
      _ reader: ConfigurationReader, _ key: String, default fallback: Double?
    ) throws(ArchitectureFault) -> Float? {
      guard reader.isPresent(key) else { return fallback.map(Float.init) }
      guard reader.has(key) else { return nil }
      return Float(try reader.positiveNumber(key, default: 0))
    }

    private static func windows(
      _ reader: ConfigurationReader, _ generation: Generation, layerCount: Int
    ) throws(ArchitectureFault) -> [Int?] {
      guard generation != .first else {
        return try reader.layerWindows(layerCount: layerCount, window: nil) { _ in false }
      }
      let window = try reader.optionalPositive("sliding_window", default: 4096)
      let pattern =
        generation == .third ? try reader.optionalPositive("sliding_window_pattern") ?? 6 : 2
      let isSliding = { ($0 + 1) % pattern != 0 }
      guard window != nil || reader.has("layer_types") else {
        throw .configuration("sliding_window", "is null, but the family has sliding layers")
      }
      return try reader.layerWindows(
        layerCount: layerCount, window: window, isSliding: isSliding)
    }

    private static func rotary(
      _ reader: ConfigurationReader, _ generation: Generation, _ d: ModelDimensions
    ) throws(ArchitectureFault) -> (RotaryEmbedding, RotaryEmbedding?) {
      guard generation == .third else {
        let rotary = try RotaryEmbedding(
          reader, dimensions: d.headDimension, contextLength: d.contextLength)
        return (rotary, nil)
      }
      let parameters = try reader.object("rope_parameters")
      let full = try parameters?.object("full_attention")
      let sliding = try parameters?.object("sliding_attention")
      if let parameters, full == nil || sliding == nil || reader.has("rope_scaling") {
        throw .configuration(
          "rope_parameters",
          "hold \(Excerpt.quoted(parameters.keys.joined(separator: ", "))); expected "
            + "full_attention and sliding_attention, and no rope_scaling beside them")
      }
      let global = try RotaryEmbedding(
        reader, dimensions: d.headDimension, contextLength: d.contextLength,
        defaultBase: 1_000_000, parameters: full)
      // Sliding layers take no scaling from the checkpoint's old spelling.
      let local = try RotaryEmbedding(
        reader, dimensions: d.headDimension, contextLength: d.contextLength,
        baseKey: "rope_local_base_freq", parameters: sliding ?? ConfigurationReader([:]))
      return (global, local)
    }
  }

  let configuration: Configuration
  var dimensions: ModelDimensions { configuration.dimensions }
  private var hasSandwich: Bool { configuration.generation != .first }

  init(configuration reader: ConfigurationReader) throws(ArchitectureFault) {
    configuration = try Configuration(reader)
  }

  // MARK: Tensors

  func blockTensors(_ layer: Int) -> [TensorSpec] {
    let prefix = Self.prefix(layer)
    var norms = ["input_layernorm", "post_attention_layernorm"]
    if hasSandwich { norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"] }
    var specs = norms.map {
      TensorSpec(prefix + $0 + ".weight", [dimensions.hiddenSize], .norm)
    }
    specs += attentionProjections(layer).specs(dimensions)
    if configuration.generation == .third {
      specs += ["q_norm", "k_norm"].map {
        TensorSpec(prefix + "self_attn.\($0).weight", [dimensions.headDimension], .norm)
      }
    }
    return specs + GatedProjections(prefix: prefix + "mlp.").specs(dimensions)
  }

  private func attentionProjections(_ layer: Int) -> AttentionProjections {
    AttentionProjections(
      prefix: Self.prefix(layer) + "self_attn.", inputsHaveBias: configuration.attentionHasBias,
      outputHasBias: configuration.attentionHasBias)
  }

  func keyValueShape(layer: Int) -> KeyValueShape {
    dimensions.keyValueShape(window: configuration.windows[layer])
  }

  // MARK: Forward pass

  var rotaryEmbeddings: [RotaryEmbedding] {
    [configuration.rotary] + (configuration.localRotary.map { [$0] } ?? [])
  }

  func makeEmbedding(_ tensors: LoadedTensors) throws(ArchitectureFault) -> any EmbeddingStage {
    TokenEmbedding(
      tokens: try tensors.matrix(Self.embeddingName + ".weight"),
      scale: Float(dimensions.hiddenSize).squareRoot())
  }

  func makeBlock(
    layer: Int, _ tensors: LoadedTensors, rotary: [RotaryTable]
  ) throws(ArchitectureFault) -> any TransformerBlock {
    let prefix = Self.prefix(layer)
    let c = configuration
    let attention = try attention(layer, tensors, rotary: rotary)
    let feedForward = try GatedProjections(prefix: prefix + "mlp.").feedForward(
      tensors, activation: c.activation)
    let first = try norm(prefix + "input_layernorm", tensors)
    let second = try norm(prefix + "post_attention_layernorm", tensors)
    guard hasSandwich else {
      return SequentialBlock(
        attentionNorm: first, attention: attention, feedForwardNorm: second,
        feedForward: feedForward)
    }
    return SandwichBlock(
      attentionNorm: first, attention: attention, afterAttentionNorm: second,
      feedForwardNorm: try norm(prefix + "pre_feedforward_layernorm", tensors),
      feedForward: feedForward,
      afterFeedForwardNorm: try norm(prefix + "post_feedforward_layernorm", tensors))
  }

  private func attention(
    _ layer: Int, _ tensors: LoadedTensors, rotary: [RotaryTable]
  ) throws(ArchitectureFault) -> SelfAttention {
    let c = configuration
    let prefix = Self.prefix(layer) + "self_attn."
    let headNorms: HeadNorms? =
      c.generation == .third
      ? .rootMeanSquare(
        query: try tensors.vector(prefix + "q_norm.weight"),
        key: try tensors.vector(prefix + "k_norm.weight"), epsilon: Float(c.epsilon),
        weightOffset: 1) : nil
    let shape = AttentionShape(
      heads: dimensions.headCount, keyValueHeads: dimensions.keyValueHeadCount,
      headDimension: dimensions.headDimension, scale: c.attentionScale,
      window: c.windows[layer], softcap: c.attentionSoftcap)
    let isLocal = rotary.count > 1 && c.windows[layer] != nil
    return try attentionProjections(layer).attention(
      tensors, shape: shape, rotary: rotary[isLocal ? 1 : 0], headNorms: headNorms)
  }

  private func norm(
    _ name: String, _ tensors: LoadedTensors
  ) throws(ArchitectureFault) -> Normalization {
    try tensors.rmsNorm(name, epsilon: configuration.epsilon, weightOffset: 1)
  }

  func finalNorm(_ tensors: LoadedTensors) throws(ArchitectureFault) -> Normalization {
    try norm(Self.finalNormName, tensors)
  }

  func makeHead(_ tensors: LoadedTensors) throws(ArchitectureFault) -> any HeadStage {
    LanguageModelHead(
      norm: try finalNorm(tensors), projection: try headProjection(tensors),
      softcap: configuration.finalSoftcap)
  }
}
