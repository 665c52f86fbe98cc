import ModelArchitectures

/// A model family as GGUF files and llama.cpp know it: what it is called there, and where its
/// tensors are.
struct GGUFFamily: Sendable {
  /// Of the key `general.architecture`.
  let architecture: String
  /// Of config.json's `model_type`; the first is what import writes.
  let modelTypes: [String]
  /// Of config.json's `architectures`.
  let className: String
  /// Names within a block, ours and theirs, without `.weight` and `.bias`.
  let blocks: [String: String]
  /// Whether rows of queries and keys that rotate together are neighbours there, and not halves of
  /// a head as with us.
  var pairsRotaryRows = false
  /// Whether files usually have queries, keys and values in one matrix.
  var fusesAttention = false
  /// Whether gate and up projection are one matrix.
  var fusesGate = false
  /// What norm weights are larger by than ours.
  var normAddend: Float = 0

  private static let llamaBlocks = [
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
  ]

  private static let sandwichBlocks = llamaBlocks.merging([
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
  ]) { $1 }

  /// All that files may be of, in the order in which messages name them.
  static let all = [
    GGUFFamily(
      architecture: "llama", modelTypes: ["llama", "mistral"], className: "LlamaForCausalLM",
      blocks: llamaBlocks, pairsRotaryRows: true),
    GGUFFamily(
      architecture: "llama", modelTypes: ["mixtral"], className: "MixtralForCausalLM",
      blocks: llamaBlocks.merging(["block_sparse_moe.gate": "ffn_gate_inp"]) { $1 },
      pairsRotaryRows: true),
    GGUFFamily(
      architecture: "qwen2", modelTypes: ["qwen2"], className: "Qwen2ForCausalLM",
      blocks: llamaBlocks),
    GGUFFamily(
      architecture: "qwen3", modelTypes: ["qwen3"], className: "Qwen3ForCausalLM",
      blocks: llamaBlocks),
    GGUFFamily(
      architecture: "gemma", modelTypes: ["gemma"], className: "GemmaForCausalLM",
      blocks: llamaBlocks, normAddend: 1),
    GGUFFamily(
      architecture: "gemma2", modelTypes: ["gemma2"], className: "Gemma2ForCausalLM",
      blocks: sandwichBlocks, normAddend: 1),
    GGUFFamily(
      architecture: "gemma3", modelTypes: ["gemma3_text"], className: "Gemma3ForCausalLM",
      blocks: sandwichBlocks, normAddend: 1),
    GGUFFamily(
      architecture: "gpt2", modelTypes: ["gpt2"], className: "GPT2LMHeadModel",
      blocks: [
        "ln_1": "attn_norm", "attn.q_proj": "attn_q", "attn.k_proj": "attn_k",
        "attn.v_proj": "attn_v", "attn.c_proj": "attn_output", "ln_2": "ffn_norm",
        "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
      ], fusesAttention: true),
    GGUFFamily(
      architecture: "gptneox", modelTypes: ["gpt_neox"], className: "GPTNeoXForCausalLM",
      blocks: [
        "input_layernorm": "attn_norm", "attention.q_proj": "attn_q",
        "attention.k_proj": "attn_k", "attention.v_proj": "attn_v",
        "attention.dense": "attn_output", "post_attention_layernorm": "ffn_norm",
        "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",
      ], fusesAttention: true),
    GGUFFamily(
      architecture: "phi2", modelTypes: ["phi"], className: "PhiForCausalLM",
      blocks: [
        "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.dense": "attn_output", "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down",
      ]),
    GGUFFamily(
      architecture: "phi3", modelTypes: ["phi3"], className: "Phi3ForCausalLM",
      blocks: llamaBlocks, fusesAttention: true, fusesGate: true),
    GGUFFamily(
      architecture: "stablelm", modelTypes: ["stablelm"], className: "StableLmForCausalLM",
      blocks: llamaBlocks),
  ]

  /// Names outside of the blocks.
  private static let outside = [
    "model.embed_tokens": "token_embd", "transformer.wte": "token_embd",
    "gpt_neox.embed_in": "token_embd", "transformer.wpe": "position_embd",
    "model.norm": "output_norm", "transformer.ln_f": "output_norm",
    "model.final_layernorm": "output_norm", "gpt_neox.final_layer_norm": "output_norm",
    "lm_head": "output", "embed_out": "output",
  ]
}

/// Where a GGUF file has one of our tensors.
struct GGUFPlace: Sendable, Equatable {
  let name: String
  /// The first of our rows there; of a vector the first element.
  var first = 0
  /// Rows (elements of a vector) of the whole stored tensor; nil where it is ours alone.
  var total: Int?
  /// Channels of a head whose rows stand in pairs; nil where rows have our order.
  var pairedDimension: Int?
  /// What the values are larger by than ours.
  var addend: Float = 0

  /// Which stored row (element of a vector) is ours.
  func row(_ row: Int) -> Int {
    guard let dimension = pairedDimension else { return first + row }
    let (head, place) = row.quotientAndRemainder(dividingBy: dimension)
    let half = dimension / 2
    return first + head * dimension + place % half * 2 + place / half
  }
}

extension GGUFFamily {
  /// Where a file may have a tensor: on its own, or within a fused one.
  func places(of spec: TensorSpec, _ d: ModelDimensions) -> [GGUFPlace] {
    let words = spec.name.split(separator: ".").map(String.init)
    let kind = words[words.count - 1]
    guard let number = words.firstIndex(where: { $0.allSatisfy(\.isNumber) }) else {
      let base = words.dropLast().joined(separator: ".")
      guard let name = Self.outside[base] else { return [] }
      return [GGUFPlace(name: "\(name).\(kind)", addend: addend(name, kind))]
    }
    let block = "blk.\(words[number])."
    let base = words[(number + 1)..<(words.count - 1)].joined(separator: ".")
    if let place = expert(words, block, spec, d) ?? headNorm(words, block, d) { return [place] }
    guard let name = blocks[base] else { return [] }
    if fusesGate, name == "ffn_gate" || name == "ffn_up" {
      return [
        GGUFPlace(
          name: block + "ffn_up.weight", first: name == "ffn_gate" ? 0 : d.intermediateSize,
          total: 2 * d.intermediateSize)
      ]
    }
    var place = GGUFPlace(name: block + "\(name).\(kind)", addend: addend(name, kind))
    guard let first = Self.firstFusedRow(name, d) else { return [place] }
    if pairsRotaryRows, name != "attn_v" { place.pairedDimension = d.headDimension }
    var fused = GGUFPlace(
      name: block + "attn_qkv.\(kind)", first: first,
      total: (d.headCount + 2 * d.keyValueHeadCount) * d.headDimension)
    fused.pairedDimension = place.pairedDimension
    return fusesAttention ? [fused, place] : [place, fused]
  }

  private func addend(_ name: String, _ kind: String) -> Float {
    name.hasSuffix("norm") && kind == "weight" ? normAddend : 0
  }

  /// Where queries, keys and values begin in one matrix of all.
  private static func firstFusedRow(_ name: String, _ d: ModelDimensions) -> Int? {
    switch name {
    case "attn_q": 0
    case "attn_k": d.headCount * d.headDimension
    case "attn_v": (d.headCount + d.keyValueHeadCount) * d.headDimension
    default: nil
    }
  }

  /// `block_sparse_moe.experts.E.w1`: all experts of a kind are one tensor there.
  private func expert(
    _ words: [String], _ block: String, _ spec: TensorSpec, _ d: ModelDimensions
  ) -> GGUFPlace? {
    guard let place = words.firstIndex(of: "experts"), words.count == place + 4,
      let expert = Int(words[place + 1])
    else { return nil }
    let names = ["w1": "ffn_gate_exps", "w2": "ffn_down_exps", "w3": "ffn_up_exps"]
    return names[words[place + 2]].map {
      GGUFPlace(
        name: "\(block)\($0).weight", first: expert * spec.rows,
        total: d.expertCount * spec.rows)
    }
  }

  /// `self_attn.q_layernorm.norms.H.weight`: the norms of all heads are one tensor there.
  private func headNorm(
    _ words: [String], _ block: String, _ d: ModelDimensions
  ) -> GGUFPlace? {
    guard let place = words.firstIndex(of: "norms"), let head = Int(words[place + 1]) else {
      return nil
    }
    let isQuery = words[place - 1] == "q_layernorm"
    return GGUFPlace(
      name: "\(block)\(isQuery ? "attn_q_norm" : "attn_k_norm").weight",
      first: head * d.headDimension,
      total: (isQuery ? d.headCount : d.keyValueHeadCount) * d.headDimension)
  }
}
