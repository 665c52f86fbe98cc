import TensorCore
import TensorKernels

/// Mixtral: Mistral's attention with a mixture of experts.
///
/// Reference: Jiang et al. 2024, "Mixtral of Experts"; Hugging Face transformers,
/// `models/mixtral/modeling_mixtral.py`.
struct Mixtral: LlamaNames {
  static let family = "Mixtral"
  static let modelTypes = ["mixtral"]
  static let quirks = [
    "experts chosen for each token", "weights of the chosen experts sum to 1",
    "grouped-query attention",
  ]

  // MARK: Configuration

  struct Configuration: Sendable {
    /// num_local_experts and num_experts_per_tok among them.
    let dimensions: ModelDimensions
    /// rms_norm_eps.
    let epsilon: Double
    /// hidden_act.
    let activation: Activation
    /// sliding_window; absent or null means all keys.
    let window: Int?
    let rotary: RotaryEmbedding

    init(_ reader: ConfigurationReader) throws(ArchitectureFault) {
      let hidden = try reader.positive("hidden_size")
      let heads = try reader.positive("num_attention_heads")
      let headDimension = try reader.headDimension(hiddenSize: hidden, headCount: heads)
      let expertCount = try reader.optionalPositive("num_local_experts") ?? 8
      let chosen = try reader.optionalPositive("num_experts_per_tok") ?? 2
      guard chosen <= expertCount, expertCount <= 1024 else {
        throw .configuration(
          "num_experts_per_tok",
          "is \(chosen) of \(expertCount) experts; expected at most all, "
            + "and at most 1024 experts")
      }
      var dimensions = ModelDimensions(
        vocabularySize: try reader.positive("vocab_size"), hiddenSize: hidden,
        layerCount: try reader.positive("num_hidden_layers"), headCount: heads,
        keyValueHeadCount: try reader.keyValueHeads(heads: heads, default: 8),
        headDimension: headDimension,
        intermediateSize: try reader.positive("intermediate_size"),
        contextLength: try reader.optionalPositive("max_position_embeddings") ?? 131_072,
        tiesEmbeddings: try reader.bool("tie_word_embeddings", default: false))
      dimensions.expertCount = expertCount
      dimensions.expertsPerToken = chosen
      self.dimensions = dimensions
      epsilon = try reader.positiveNumber("rms_norm_eps", default: 1e-5)
      activation = try reader.activation("hidden_act", default: .silu)
      window = try reader.optionalPositive("sliding_window")
      rotary = try RotaryEmbedding(
        reader, dimensions: headDimension, contextLength: dimensions.contextLength,
        defaultBase: 1_000_000)
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
    let experts = (0..<dimensions.expertCount).flatMap { expert in
      expertProjections(layer, expert).specs(d)
    }
    return [TensorSpec.rmsNorm(prefix + "input_layernorm", d.hiddenSize)]
      + AttentionProjections(prefix: prefix + "self_attn.").specs(d)
      + [
        TensorSpec.rmsNorm(prefix + "post_attention_layernorm", d.hiddenSize),
        TensorSpec(
          prefix + "block_sparse_moe.gate.weight", [dimensions.expertCount, d.hiddenSize],
          .router),
      ] + experts
  }

  private func expertProjections(_ layer: Int, _ expert: Int) -> GatedProjections {
    GatedProjections(
      prefix: "\(Self.prefix(layer))block_sparse_moe.experts.\(expert).", gate: "w1", up: "w3",
      down: "w2")
  }

  func keyValueShape(layer: Int) -> KeyValueShape {
    dimensions.keyValueShape(window: configuration.window)
  }

  func shareRead(of tensor: String) -> Double {
    guard tensor.contains(".experts.") else { return 1 }
    return Double(dimensions.expertsPerToken) / Double(dimensions.expertCount)
  }

  // MARK: Forward pass

  var rotaryEmbeddings: [RotaryEmbedding] { [configuration.rotary] }

  func makeBlock(
    layer: Int, _ tensors: LoadedTensors, rotary: [RotaryTable]
  ) throws(ArchitectureFault) -> any TransformerBlock {
    let prefix = Self.prefix(layer)
    let c = configuration
    var experts: [GatedFeedForward] = []
    for expert in 0..<dimensions.expertCount {
      experts.append(
        try expertProjections(layer, expert).feedForward(tensors, activation: c.activation))
    }
    return SequentialBlock(
      attentionNorm: try tensors.rmsNorm(prefix + "input_layernorm", epsilon: c.epsilon),
      attention: try AttentionProjections(prefix: prefix + "self_attn.").attention(
        tensors, shape: dimensions.attentionShape(window: c.window), rotary: rotary[0]),
      feedForwardNorm: try tensors.rmsNorm(
        prefix + "post_attention_layernorm", epsilon: c.epsilon),
      feedForward: MixtureOfExperts(
        router: try tensors.linear(prefix + "block_sparse_moe.gate"), experts: experts,
        expertsPerToken: dimensions.expertsPerToken))
  }

  func finalNorm(_ tensors: LoadedTensors) throws(ArchitectureFault) -> Normalization {
    try tensors.rmsNorm(Self.finalNormName, epsilon: configuration.epsilon)
  }
}
