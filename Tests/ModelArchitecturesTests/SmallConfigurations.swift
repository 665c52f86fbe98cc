import StrictJSON
import Testing

/// A small configuration of every family, as Hugging Face writes it.
enum SmallConfiguration {
  static let llama: JSONObject = [
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64,
    "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2,
    "num_hidden_layers": 3, "vocab_size": 100, "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 10000.0,
    "tie_word_embeddings": false,
  ]

  static let mistral = llama.with([
    "model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": 16,
  ])
  static let qwen2 = llama.with([
    "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "use_sliding_window": false,
  ])
  static let qwen3 = llama.with([
    "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "head_dim": 32,
  ])
  static let gemma = llama.without("tie_word_embeddings").with([
    "model_type": "gemma", "architectures": ["GemmaForCausalLM"], "head_dim": 32,
    "hidden_act": "gelu",
  ])
  static let gemma2 = llama.with([
    "model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"], "head_dim": 32,
    "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 32,
    "sliding_window": 16,
  ])
  static let gemma3 = gemma2.with([
    "model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"],
    "num_hidden_layers": 6, "sliding_window_pattern": 3, "rope_local_base_freq": 10000.0,
    "rope_theta": 1_000_000.0,
  ])
  static let phi = llama.with([
    "model_type": "phi", "architectures": ["PhiForCausalLM"], "hidden_act": "gelu_new",
    "partial_rotary_factor": 0.5, "layer_norm_eps": 1e-5,
  ])
  static let phi3 = llama.with([
    "model_type": "phi3", "architectures": ["Phi3ForCausalLM"], "sliding_window": nil,
  ])
  static let stablelm = llama.with([
    "model_type": "stablelm", "architectures": ["StableLmForCausalLM"],
    "partial_rotary_factor": 0.25, "use_qkv_bias": true,
  ])
  static let mixtral = llama.with([
    "model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "num_local_experts": 4,
    "num_experts_per_tok": 2,
  ])
  static let gptNeoX = llama.with([
    "model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"], "hidden_act": "gelu",
    "rotary_pct": 0.25, "rotary_emb_base": 10000, "rope_theta": nil,
  ])
  static let gptj: JSONObject = [
    "model_type": "gptj", "architectures": ["GPTJForCausalLM"], "n_embd": 64, "n_head": 4,
    "n_layer": 3, "n_positions": 128, "rotary_dim": 8, "vocab_size": 100,
    "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
  ]
  static let gpt2: JSONObject = [
    "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 64, "n_head": 4,
    "n_layer": 3, "n_positions": 128, "n_ctx": 128, "vocab_size": 100,
    "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
  ]

  static let all = [
    llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3, phi, phi3, stablelm, mixtral, gptNeoX,
    gptj, gpt2,
  ]

  /// One model in the words of older and of newer versions of transformers.
  struct Spellings: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let old: JSONObject
    let new: JSONObject

    /// `new` takes the place of `removed` keys.
    init(_ name: String, _ old: JSONObject, without removed: [String], with new: JSONObject) {
      testDescription = name
      self.old = old
      self.new = removed.reduce(old) { $0.without($1) }.with(new)
    }
  }

  static let spellings: [Spellings] = [
    Spellings(
      "torch_dtype", llama.with(["torch_dtype": "float16"]), without: ["torch_dtype"],
      with: ["dtype": "float16"]),
    Spellings(
      "linear, by type", llama.with(["rope_scaling": ["type": "linear", "factor": 4.0]]),
      without: ["rope_scaling", "rope_theta"],
      with: ["rope_parameters": ["rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0]]),
    Spellings(
      "yarn",
      mistral.with([
        "rope_scaling": [
          "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32,
        ]
      ]), without: ["rope_scaling", "rope_theta"],
      with: [
        "rope_parameters": [
          "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32,
          "rope_theta": 10000.0,
        ]
      ]),
    Spellings(
      "both spellings, alike",
      llama.with(["rope_scaling": ["type": "linear", "factor": 4.0]]), without: [],
      with: ["rope_parameters": ["rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0]]),
    Spellings(
      "su is longrope",
      phi3.with([
        "original_max_position_embeddings": 32,
        "rope_scaling": ["type": "su", "short_factor": factors, "long_factor": factors],
      ]), without: ["rope_scaling", "rope_theta"],
      with: [
        "rope_parameters": [
          "rope_type": "longrope", "type": "su", "rope_theta": 10000.0,
          "partial_rotary_factor": 1.0, "short_factor": factors, "long_factor": factors,
          "original_max_position_embeddings": 32,
        ]
      ]),
    Spellings(
      "partial rotary inside", phi, without: ["partial_rotary_factor", "rope_theta"],
      with: [
        "rope_parameters": [
          "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5,
        ]
      ]),
    Spellings(
      "rotary_pct", gptNeoX, without: ["rotary_pct", "rotary_emb_base", "rope_theta"],
      with: ["rope_parameters": ["rope_theta": 10000, "partial_rotary_factor": 0.25]]),
    Spellings(
      "bases by layer type", gemma3.with(["rope_scaling": ["rope_type": "linear", "factor": 8.0]]),
      without: ["rope_theta", "rope_local_base_freq", "rope_scaling", "sliding_window_pattern"],
      with: [
        "rope_parameters": [
          "full_attention": ["rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0],
          "sliding_attention": ["rope_type": "default", "rope_theta": 10000.0],
        ],
        "layer_types": [
          "sliding_attention", "sliding_attention", "full_attention", "sliding_attention",
          "sliding_attention", "full_attention",
        ],
      ]),
    Spellings(
      "layer_types of Gemma 2", gemma2, without: [],
      with: ["layer_types": ["sliding_attention", "full_attention", "sliding_attention"]]),
    Spellings(
      "layer_types of Qwen 2",
      qwen2.with(["use_sliding_window": true, "sliding_window": 8, "max_window_layers": 2]),
      without: ["max_window_layers"],
      with: ["layer_types": ["full_attention", "full_attention", "sliding_attention"]]),
    Spellings(
      "other names of sizes", gpt2, without: ["n_embd", "n_head", "n_layer", "n_positions"],
      with: [
        "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 3,
        "max_position_embeddings": 128,
      ]),
  ]

  private static let factors: JSONValue = [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]
}

extension JSONObject {
  /// The object with some members replaced or added.
  func with(_ changes: JSONObject) -> JSONObject {
    var object = self
    for (key, value) in changes.members { object[key] = value }
    return object
  }

  func without(_ key: String) -> JSONObject {
    var object = self
    object[key] = nil
    return object
  }
}
