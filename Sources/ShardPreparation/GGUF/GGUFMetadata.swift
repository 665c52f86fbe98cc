import Checkpoints
import Foundation
import ModelArchitectures
import StrictJSON
import TensorCore

/// The keys of a GGUF file for a model of ours, and the small tensors of its positions.
struct GGUFMetadata {
  let family: GGUFFamily
  private(set) var entries: [(String, GGUFEntry)] = []
  /// Tensors of divisors of frequencies: name and values.
  private(set) var factors: [(name: String, values: [Float])] = []
  /// Sentences about what llama.cpp computes otherwise.
  private(set) var notes: [String] = []
  private let configuration: JSONObject
  private let architecture: any ModelArchitecture
  private let source: String

  /// Throws: `PreparationFault` for what llama.cpp has no graph for.
  init(
    _ architecture: any ModelArchitecture, _ configuration: JSONObject, source: String
  ) throws {
    let type = configuration["model_type"]?.string ?? ""
    guard let family = GGUFFamily.all.first(where: { $0.modelTypes.contains(type) }) else {
      throw PreparationFault(
        "noGraph",
        "\(source) is of the family \(type), for which llama.cpp has no graph: a GGUF file of it "
          + "would run nowhere", context: ["file": source])
    }
    self.family = family
    self.architecture = architecture
    self.configuration = configuration
    self.source = source
    try refuseWhatHasNoGraph()
    try sizes()
    try positions()
    try special()
  }

  private func refusal(_ what: String) -> PreparationFault {
    PreparationFault(
      "noGraph", "\(source) \(what), which llama.cpp's graph of this family does not compute",
      context: ["file": source])
  }

  private func number(_ key: String) -> Double? { configuration[key]?.double }
  private func flag(_ key: String) -> Bool? { configuration[key]?.bool }

  private mutating func add(_ key: String, _ entry: GGUFEntry) {
    entries.append(("\(family.architecture).\(key)", entry))
  }

  private func refuseWhatHasNoGraph() throws(PreparationFault) {
    let d = architecture.dimensions
    let type = family.modelTypes[0]
    let quotient = d.headCount * d.headDimension
    if ["qwen2", "gpt2", "gpt_neox", "phi", "phi3", "stablelm"].contains(type),
      quotient != d.hiddenSize
    {
      throw refusal("has heads of \(d.headDimension) that do not make up its width")
    }
    if type == "gpt2", flag("scale_attn_by_inverse_layer_idx") == true {
      throw refusal("divides scores by the number of the layer")
    }
    if ["qwen3", "gemma", "gemma2", "gemma3_text"].contains(type), flag("attention_bias") == true {
      throw refusal("has biases on its attention")
    }
    if type == "gpt_neox", flag("attention_bias") == false {
      throw refusal("has no biases on its attention")
    }
    if ["gemma", "gemma2"].contains(type), !d.tiesEmbeddings {
      throw refusal("has a head that is not its embedding")
    }
    if type == "qwen2" || type == "qwen3" {
      let windows = (0..<d.layerCount).map { architecture.keyValueShape(layer: $0).window }
      if windows.contains(where: { $0 != nil }) { throw refusal("has layers with a window") }
    }
  }

  // MARK: Sizes

  private mutating func sizes() throws {
    let d = architecture.dimensions
    add("vocab_size", .uint32(d.vocabularySize))
    add("context_length", .uint32(try context()))
    add("embedding_length", .uint32(d.hiddenSize))
    add("block_count", .uint32(d.layerCount))
    add("feed_forward_length", .uint32(d.intermediateSize))
    add("attention.head_count", .uint32(d.headCount))
    add("attention.head_count_kv", .uint32(d.keyValueHeadCount))
    add("attention.key_length", .uint32(d.headDimension))
    add("attention.value_length", .uint32(d.headDimension))
    let type = family.modelTypes[0]
    let isLayerNorm = ["gpt2", "gpt_neox", "phi", "stablelm"].contains(type)
    let standard = isLayerNorm || ["mixtral", "phi3"].contains(type) ? 1e-5 : 1e-6
    let epsilon =
      number("rms_norm_eps") ?? number("layer_norm_eps") ?? number("layer_norm_epsilon") ?? standard
    add(
      isLayerNorm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
      .float32(epsilon))
    if d.expertCount > 0 {
      add("expert_count", .uint32(d.expertCount))
      add("expert_used_count", .uint32(d.expertsPerToken))
    }
  }

  /// Within a window that all layers have, the window is no matter; so the context ends with it.
  private mutating func context() throws -> Int {
    let d = architecture.dimensions
    guard !["gemma2", "gemma3_text"].contains(family.modelTypes[0]),
      let window = architecture.keyValueShape(layer: 0).window, window < d.contextLength
    else { return d.contextLength }
    notes.append(
      "llama.cpp knows no window in this family: the context is limited to the window, \(window)")
    return window
  }

  // MARK: Positions

  private mutating func positions() throws {
    guard let rotary = architecture.rotaryEmbeddings.first else { return }
    add("rope.dimension_count", .uint32(rotary.dimensions))
    add("rope.freq_base", .float32(rotary.base))
    let context = architecture.dimensions.contextLength
    switch rotary.scaling {
    case .none: break
    case .linear(let factor):
      add("rope.scaling.type", .string("linear"))
      add("rope.scaling.factor", .float32(factor))
    case .yarn(let factor, let fast, let slow, let original, let attention):
      guard fast == 32, slow == 1 else { throw refusal("has its own beta_fast or beta_slow") }
      add("rope.scaling.type", .string("yarn"))
      add("rope.scaling.factor", .float32(factor))
      add("rope.scaling.original_context_length", .uint32(Int(original)))
      let usual = factor <= 1 ? 1 : 0.1 * log(factor) + 1
      if abs(attention / usual - 1) > 1e-9 {
        add("rope.scaling.attn_factor", .float32(attention / usual))
      }
    case .llama3:
      let scaled = rotary.frequencies(positions: context).0
      factors.append(
        ("rope_freqs.weight", zip(rotary.plainFrequencies, scaled).map { Float($0 / Double($1)) }))
    case .long(let short, let long, let original, let attention):
      if short == long, attention == 1 {
        factors.append(("rope_freqs.weight", long.map(Float.init)))
        break
      }
      add("rope.scaling.type", .string("longrope"))
      add("rope.scaling.original_context_length", .uint32(original))
      add("rope.scaling.attn_factor", .float32(attention))
      factors.append(("rope_factors_long.weight", long.map(Float.init)))
      factors.append(("rope_factors_short.weight", short.map(Float.init)))
    }
  }

  // MARK: Peculiarities

  private mutating func special() throws {
    let d = architecture.dimensions
    switch family.modelTypes[0] {
    case "gemma2", "gemma3_text": try gemma()
    case "gpt_neox":
      add("use_parallel_residual", .bool(flag("use_parallel_residual") ?? true))
      let activation = configuration["hidden_act"]?.string ?? "gelu"
      if activation == "gelu" {
        notes.append("llama.cpp computes this family's gelu by tanh, a little otherwise")
      } else if activation != "gelu_new" {
        throw refusal("has the activation \(activation)")
      }
    case "stablelm":
      add("use_parallel_residual", .bool(flag("use_parallel_residual") ?? false))
    default: break
    }
    let usual =
      switch family.modelTypes[0] {
      case "gemma", "gemma2", "gemma3_text", "gpt2", "phi":
        ["gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast"]
      case "gpt_neox": ["gelu", "gelu_new"]
      default: ["silu", "swish"]
      }
    for key in ["hidden_act", "hidden_activation", "activation_function"] {
      guard let name = configuration[key]?.string, !usual.contains(name) else { continue }
      throw refusal("has the activation \(name)")
    }
    precondition(d.layerCount > 0, "a model has layers")
  }

  private mutating func gemma() throws {
    let d = architecture.dimensions
    let windows = (0..<d.layerCount).map { architecture.keyValueShape(layer: $0).window }
    let usual = family.modelTypes[0] == "gemma2" ? 2 : 6
    let period =
      windows.firstIndex(where: { $0 == nil }).map { $0 + 1 } ?? max(usual, d.layerCount + 1)
    guard let window = windows.compactMap({ $0 }).first,
      windows.indices.allSatisfy({ (windows[$0] != nil) == (($0 + 1) % period != 0) })
    else { throw refusal("has no regular pattern of windows") }
    add("attention.sliding_window", .uint32(window))
    if period != usual { add("attention.sliding_window_pattern", .uint32(period)) }
    let scalar = number("query_pre_attn_scalar") ?? 256
    let isWide = GGUFConfiguration.scalesByWidth(family.architecture, layers: d.layerCount)
    let expected = isWide ? d.hiddenSize / d.headCount : d.headDimension
    guard scalar == Double(expected) else {
      throw refusal("divides scores by the root of \(scalar) and not of \(expected)")
    }
    let isSecond = family.modelTypes[0] == "gemma2"
    func cap(_ key: String, _ standard: Double?) -> Double? {
      configuration[key].map { $0.isNull ? nil : $0.double } ?? standard
    }
    if let cap = cap("attn_logit_softcapping", isSecond ? 50 : nil) {
      guard isSecond else { throw refusal("caps the scores of its attention") }
      add("attn_logit_softcapping", .float32(cap))
    } else if isSecond {
      throw refusal("does not cap the scores of its attention")
    }
    if let cap = cap("final_logit_softcapping", isSecond ? 30 : nil) {
      add("final_logit_softcapping", .float32(cap))
    } else if isSecond {
      throw refusal("does not cap its logits")
    }
    if architecture.rotaryEmbeddings.count > 1 {
      add("rope.freq_base_swa", .float32(architecture.rotaryEmbeddings[1].base))
    }
  }
}
