import Quantization
import TensorCore
import TensorKernels

/// The projections of attention by the names most families use: `q_proj`, `k_proj`, `v_proj`
/// and an output whose name varies.
struct AttentionProjections: Sendable {
  /// Everything before `q_proj`, such as `model.layers.0.self_attn.`.
  let prefix: String
  var output = "o_proj"
  var inputsHaveBias = false
  var outputHasBias = false

  func specs(_ d: ModelDimensions) -> [TensorSpec] {
    let queries = d.headCount * d.headDimension
    let keys = d.keyValueHeadCount * d.headDimension
    return TensorSpec.linear(
      prefix + "q_proj", queries, d.hiddenSize, .attentionQuery, hasBias: inputsHaveBias)
      + TensorSpec.linear(
        prefix + "k_proj", keys, d.hiddenSize, .attentionKey, hasBias: inputsHaveBias)
      + TensorSpec.linear(
        prefix + "v_proj", keys, d.hiddenSize, .attentionValue, hasBias: inputsHaveBias)
      + TensorSpec.linear(
        prefix + output, d.hiddenSize, queries, .attentionOutput, hasBias: outputHasBias)
  }

  func attention(
    _ tensors: LoadedTensors, shape: AttentionShape, rotary: RotaryTable?,
    headNorms: HeadNorms? = nil
  ) throws(ArchitectureFault) -> SelfAttention {
    SelfAttention(
      query: try tensors.linear(prefix + "q_proj", hasBias: inputsHaveBias),
      key: try tensors.linear(prefix + "k_proj", hasBias: inputsHaveBias),
      value: try tensors.linear(prefix + "v_proj", hasBias: inputsHaveBias),
      output: try tensors.linear(prefix + output, hasBias: outputHasBias),
      shape: shape, rotary: rotary, headNorms: headNorms)
  }
}

/// The projections of a gated feed-forward network by the names most families use.
struct GatedProjections: Sendable {
  /// Everything before `gate_proj`, such as `model.layers.0.mlp.`.
  let prefix: String
  var gate = "gate_proj"
  var up = "up_proj"
  var down = "down_proj"
  var hasBias = false

  func specs(_ d: ModelDimensions) -> [TensorSpec] {
    TensorSpec.linear(
      prefix + gate, d.intermediateSize, d.hiddenSize, .mlpGate, hasBias: hasBias)
      + TensorSpec.linear(prefix + up, d.intermediateSize, d.hiddenSize, .mlpUp, hasBias: hasBias)
      + TensorSpec.linear(
        prefix + down, d.hiddenSize, d.intermediateSize, .mlpDown, hasBias: hasBias)
  }

  func feedForward(
    _ tensors: LoadedTensors, activation: Activation
  ) throws(ArchitectureFault) -> GatedFeedForward {
    GatedFeedForward(
      gate: try tensors.linear(prefix + gate, hasBias: hasBias),
      up: try tensors.linear(prefix + up, hasBias: hasBias),
      down: try tensors.linear(prefix + down, hasBias: hasBias), activation: activation)
  }
}

extension TensorSpec {
  /// Weight of a root-mean-square norm.
  static func rmsNorm(_ name: String, _ width: Int) -> TensorSpec {
    TensorSpec(name + ".weight", [width], .norm)
  }

  /// Weight and bias of a layer norm.
  static func layerNorm(_ name: String, _ width: Int) -> [TensorSpec] {
    [TensorSpec(name + ".weight", [width], .norm), TensorSpec(name + ".bias", [width], .bias)]
  }

  /// Final norm specs followed by the head's matrix: its own, or the tied token embedding.
  static func head(
    _ norm: [TensorSpec], embedding: TensorSpec, name: String = "lm_head", tied: Bool,
    hasBias: Bool = false
  ) -> [TensorSpec] {
    guard !tied else { return norm + [embedding] }
    return norm
      + linear(name, embedding.shape[0], embedding.shape[1], .head, hasBias: hasBias)
  }
}

extension ModelDimensions {
  /// The token embedding. A checkpoint that ties the head to it may have it under either name.
  func embedding(_ name: String, head: String = "lm_head") -> TensorSpec {
    let shape = [vocabularySize, hiddenSize]
    let names = TensorSource.spellings(of: name + ".weight")
    return TensorSpec(
      name + ".weight", shape, .tokenEmbedding,
      source: TensorSource(names: names + (tiesEmbeddings ? [head + ".weight"] : []), shape: shape))
  }

  /// Causal attention with these heads and the usual scale.
  func attentionShape(window: Int?) -> AttentionShape {
    AttentionShape(
      heads: headCount, keyValueHeads: keyValueHeadCount, headDimension: headDimension,
      scale: attentionScale, window: window, softcap: nil)
  }

  func keyValueShape(window: Int?) -> KeyValueShape {
    KeyValueShape(heads: keyValueHeadCount, headDimension: headDimension, window: window)
  }
}
