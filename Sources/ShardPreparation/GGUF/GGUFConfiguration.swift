import Checkpoints
import Foundation
import ModelArchitectures
import StrictJSON
import TensorCore

/// config.json of the model in a GGUF file, in the words of Hugging Face.
struct GGUFConfiguration {
  let family: GGUFFamily
  private(set) var object = JSONObject()
  private let keys: GGUFKeys
  private let file: GGUFFile
  /// Tensors that the configuration was made from.
  private(set) var usedTensors: Set<String> = []

  /// Throws: `PreparationFault` for an architecture that is not supported, and for keys that ask
  /// for what the family does not compute.
  init(_ file: GGUFFile) throws {
    let keys = try GGUFKeys(file)
    self.keys = keys
    self.file = file
    let named = GGUFFamily.all.filter { $0.architecture == keys.architecture }
    let hasExperts = try (keys.optionalInt("expert_count") ?? 0) > 0
    guard let family = named.first(where: { ($0.modelTypes[0] == "mixtral") == hasExperts }) else {
      let known = Set(GGUFFamily.all.map(\.architecture)).sorted().joined(separator: ", ")
      throw PreparationFault(
        "ggufArchitecture",
        "\(file.path) is of the architecture \(Excerpt.quoted(keys.architecture))"
          + (hasExperts && !named.isEmpty ? " with experts" : "")
          + ", which is not supported (supported: \(known))", context: ["file": file.path])
    }
    self.family = family
    try keys.refuseUnknown(Self.knownKeys)
    try common()
    try rope()
    switch keys.architecture {
    case "llama": try llama()
    case "qwen3": object["attention_bias"] = false
    case "gemma", "gemma2", "gemma3": try gemma()
    case "gpt2": gpt2()
    case "phi3": try phi3()
    case "gptneox", "stablelm", "phi2": try partial()
    default: break
    }
  }

  /// Keys that are read, or that say nothing a program computes with.
  private static let knownKeys: Set<String> = [
    "block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size",
    "attention.head_count", "attention.head_count_kv", "attention.key_length",
    "attention.value_length", "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon",
    "attention.sliding_window", "attention.causal", "attn_logit_softcapping",
    "final_logit_softcapping", "rope.dimension_count", "rope.freq_base", "rope.freq_base_swa",
    "rope.scale_linear", "rope.scaling.type", "rope.scaling.factor",
    "rope.scaling.original_context_length", "rope.scaling.attn_factor",
    "rope.scaling.finetuned", "rope.scaling.yarn_log_multiplier", "expert_count",
    "expert_used_count", "use_parallel_residual", "tensor_data_layout",
    "attention.sliding_window_pattern",
  ]

  private func columns(_ tensor: String) -> Int? { file.tensor(tensor)?.columns }

  private func has(_ tensor: String) -> Bool { file.tensor(tensor) != nil }

  private var headDimension: Int { object["head_dim"]?.int ?? 0 }

  // MARK: All families

  private mutating func common() throws {
    let hidden = try keys.int("embedding_length")
    let heads = try keys.int("attention.head_count")
    guard heads > 0, let vocabulary = file.tensor("token_embd.weight")?.rows else {
      throw PreparationFault(
        "gguf", "\(file.path) has no heads or no tensor token_embd.weight; give a language model",
        context: ["file": file.path])
    }
    if try keys.optionalBool("attention.causal") == false {
      throw keys.fault("attention.causal", "is false: this is no model that writes text")
    }
    object["architectures"] = [.string(family.className)]
    object["model_type"] = .string(family.modelTypes[0])
    object["vocab_size"] = JSONValue(vocabulary)
    object["hidden_size"] = JSONValue(hidden)
    object["num_hidden_layers"] = JSONValue(try keys.int("block_count"))
    object["num_attention_heads"] = JSONValue(heads)
    object["num_key_value_heads"] = JSONValue(
      try keys.optionalInt("attention.head_count_kv") ?? heads)
    object["intermediate_size"] = JSONValue(try keys.int("feed_forward_length"))
    object["max_position_embeddings"] = JSONValue(try keys.int("context_length"))
    let dimension = try keys.optionalInt("attention.key_length")
    let values = try keys.optionalInt("attention.value_length")
    guard dimension == values else {
      throw keys.fault("attention.value_length", "differs from attention.key_length")
    }
    object["head_dim"] = JSONValue(dimension ?? hidden / heads)
    object["tie_word_embeddings"] = .bool(!has("output.weight"))
    if let epsilon = try keys.optionalNumber("attention.layer_norm_rms_epsilon") {
      object["rms_norm_eps"] = decimal(epsilon)
    } else {
      object["layer_norm_eps"] = decimal(try keys.number("attention.layer_norm_epsilon"))
    }
  }

  /// The shortest decimal that is the same 32-bit float: 1e-05, not 9.999999747378752e-06.
  private func decimal(_ number: Double) -> JSONValue {
    Double("\(Float(number))").map { .double($0) } ?? .double(number)
  }

  // MARK: Positions

  private mutating func rope() throws {
    object["rope_theta"] = .double(try keys.optionalNumber("rope.freq_base") ?? 10_000)
    let type = try keys.optionalString("rope.scaling.type") ?? "none"
    let old = try keys.optionalNumber("rope.scale_linear")
    let factor = try keys.optionalNumber("rope.scaling.factor") ?? old ?? 1
    let original = try keys.optionalInt("rope.scaling.original_context_length")
    if has("rope_freqs.weight") { return try divisors() }
    switch type {
    case "none", "linear", "longrope":
      guard factor != 1, type != "longrope" else { return }
      object["rope_scaling"] = ["rope_type": "linear", "factor": .double(factor)]
    case "yarn":
      if let multiplier = try keys.optionalNumber("rope.scaling.yarn_log_multiplier"),
        multiplier != 0
      {
        throw keys.fault("rope.scaling.yarn_log_multiplier", "is not supported")
      }
      var scaling: JSONObject = ["rope_type": "yarn", "factor": .double(factor)]
      if let original { scaling["original_max_position_embeddings"] = JSONValue(original) }
      if let attention = try keys.optionalNumber("rope.scaling.attn_factor"), factor > 1 {
        scaling["attention_factor"] = .double(attention * (0.1 * log(factor) + 1))
      }
      object["rope_scaling"] = .object(scaling)
    default:
      throw keys.fault("rope.scaling.type", "is \(Excerpt.quoted(type)), which is not known")
    }
  }

  /// A divisor for each frequency, as Llama 3.1 and later have them.
  private mutating func divisors() throws {
    let divisors = try floats("rope_freqs.weight")
    object["rope_scaling"] = [
      "rope_type": "longrope", "short_factor": .array(divisors), "long_factor": .array(divisors),
      "attention_factor": .double(1),
      "original_max_position_embeddings": object["max_position_embeddings"] ?? .null,
    ]
  }

  private mutating func floats(_ name: String) throws -> [JSONValue] {
    guard let tensor = file.tensor(name), tensor.type == .f32, tensor.elementCount <= 4096 else {
      throw PreparationFault(
        "gguf", "tensor \(name) of \(file.path) is missing or no short row of f32",
        context: ["file": file.path, "tensor": name])
    }
    usedTensors.insert(name)
    let bytes = try file.bytes(of: tensor, 0..<tensor.byteCount)
    return stride(from: 0, to: bytes.count, by: 4).map { place in
      let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[place + $1]) << UInt32(8 * $1) }
      return decimal(Double(Float(bitPattern: bits)))
    }
  }

  /// The share of a head that rotates, so that as many channels come of it again.
  private func rotaryShare() throws -> Double {
    let dimension = headDimension
    let rotating = try keys.optionalInt("rope.dimension_count") ?? dimension
    guard dimension > 0, (1...dimension).contains(rotating) else {
      throw keys.fault("rope.dimension_count", "is \(rotating) of \(dimension) channels")
    }
    let share = Double(rotating) / Double(dimension)
    return Int(Double(dimension) * share) == rotating ? share : share.nextUp
  }

  private func requireWholeRotation() throws {
    guard try rotaryShare() == 1 else {
      throw keys.fault("rope.dimension_count", "is less than a head, which this family has not")
    }
  }

  // MARK: Families

  private mutating func llama() throws {
    try requireWholeRotation()
    object["hidden_act"] = "silu"
    if let experts = try keys.optionalInt("expert_count"), experts > 0 {
      object["num_local_experts"] = JSONValue(experts)
      object["num_experts_per_tok"] = JSONValue(try keys.int("expert_used_count"))
      return
    }
    object["attention_bias"] = .bool(has("blk.0.attn_q.bias"))
    object["mlp_bias"] = .bool(has("blk.0.ffn_up.bias"))
  }

  private mutating func gemma() throws {
    try requireWholeRotation()
    object["hidden_activation"] = "gelu_pytorch_tanh"
    guard keys.architecture != "gemma" else { return }
    let layers = object["num_hidden_layers"]?.int ?? 0
    let hidden = object["hidden_size"]?.int ?? 0
    let heads = object["num_attention_heads"]?.int ?? 1
    object["query_pre_attn_scalar"] = JSONValue(
      Self.scalesByWidth(keys.architecture, layers: layers) ? hidden / heads : headDimension)
    object["sliding_window"] = JSONValue(try keys.int("attention.sliding_window"))
    if let slides = try slidingLayers(layers) {
      object["layer_types"] = .array(
        slides.map { .string($0 ? "sliding_attention" : "full_attention") })
    }
    for (ours, theirs) in [
      ("attn_logit_softcapping", "attn_logit_softcapping"),
      ("final_logit_softcapping", "final_logit_softcapping"),
    ] {
      let cap = try keys.optionalNumber(theirs)
      object[ours] = cap.map { .double($0) } ?? .null
    }
    if keys.architecture == "gemma3" {
      object["rope_local_base_freq"] = .double(
        try keys.optionalNumber("rope.freq_base_swa") ?? 10_000)
    }
  }

  /// Which layers have a window: every but each n-th one, or as a flag for each; nil where the
  /// family's own pattern holds.
  private func slidingLayers(_ layers: Int) throws -> [Bool]? {
    let key = "attention.sliding_window_pattern"
    guard let flags = file["\(keys.architecture).\(key)"]?.numbers else {
      guard let period = try keys.optionalInt(key), period > 0 else { return nil }
      return (0..<layers).map { ($0 + 1) % period != 0 }
    }
    guard flags.count == layers else {
      throw keys.fault(key, "has \(flags.count) elements for \(layers) layers")
    }
    return (0..<layers).map { flags[$0].bool ?? (flags[$0].int != 0) }
  }

  /// llama.cpp knows by the number of layers which Gemma divides scores by √(width / heads).
  static func scalesByWidth(_ architecture: String, layers: Int) -> Bool {
    (architecture == "gemma2" && layers == 46) || (architecture == "gemma3" && layers == 62)
  }

  /// GPT-2 has names of its own.
  private mutating func gpt2() {
    let names = [
      ("n_embd", "hidden_size"), ("n_layer", "num_hidden_layers"),
      ("n_head", "num_attention_heads"), ("n_inner", "intermediate_size"),
      ("n_positions", "max_position_embeddings"), ("layer_norm_epsilon", "layer_norm_eps"),
    ]
    for (theirs, ours) in names {
      object[theirs] = object[ours]
      object[ours] = nil
    }
    for key in ["num_key_value_heads", "head_dim", "rope_theta"] { object[key] = nil }
    object["activation_function"] = "gelu_new"
  }

  private mutating func phi3() throws {
    object["partial_rotary_factor"] = .double(try rotaryShare())
    object["hidden_act"] = "silu"
    if let window = try keys.optionalInt("attention.sliding_window"), window > 0 {
      object["sliding_window"] = JSONValue(window)
    }
    guard has("rope_factors_long.weight") else { return }
    let original = try keys.int("rope.scaling.original_context_length")
    var scaling: JSONObject = [
      "rope_type": "longrope", "short_factor": .array(try floats("rope_factors_short.weight")),
      "long_factor": .array(try floats("rope_factors_long.weight")),
    ]
    if let attention = try keys.optionalNumber("rope.scaling.attn_factor") {
      scaling["attention_factor"] = .double(attention)
    }
    object["original_max_position_embeddings"] = JSONValue(original)
    object["rope_scaling"] = .object(scaling)
  }

  /// Families of which a part of each head rotates.
  private mutating func partial() throws {
    let share = try rotaryShare()
    let isParallel = try keys.optionalBool("use_parallel_residual")
    switch keys.architecture {
    case "gptneox":
      object["rotary_pct"] = .double(share)
      object["rotary_emb_base"] = object["rope_theta"]
      object["hidden_act"] = "gelu"
      object["use_parallel_residual"] = .bool(isParallel ?? true)
      object["attention_bias"] = .bool(has("blk.0.attn_output.bias"))
    case "stablelm":
      object["partial_rotary_factor"] = .double(share)
      object["hidden_act"] = "silu"
      object["use_qkv_bias"] = .bool(has("blk.0.attn_q.bias"))
      object["qk_layernorm"] = .bool(has("blk.0.attn_q_norm.weight"))
      object["use_parallel_residual"] = .bool(!has("blk.0.ffn_norm.weight"))
    default:
      object["partial_rotary_factor"] = .double(share)
      object["hidden_act"] = "gelu_new"
    }
  }
}
