import StrictJSON

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
    llama, mistral, qwen2, qwen3, gemma2, gemma3, phi, phi3, stablelm, mixtral, gptNeoX, gptj,
    gpt2,
  ]
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
