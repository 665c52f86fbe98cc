import StrictJSON
import Testing

/// A configuration that describes no model we run, and a word that its error must hold.
struct FaultyConfiguration: CustomTestStringConvertible, Sendable {
  private typealias Small = SmallConfiguration

  let configuration: JSONObject
  let word: String
  let testDescription: String

  init(_ base: JSONObject, _ changes: JSONObject, _ word: String) {
    configuration = base.with(changes)
    self.word = word
    let type = base["model_type"]?.string ?? ""
    testDescription =
      type + ": "
      + changes.members
      .map { "\($0) = \($1.serialized(.compact))" }.joined(separator: ", ")
  }

  static let all = general + rope + layers + families

  /// Keys that every family has.
  private static let general: [FaultyConfiguration] = [
    FaultyConfiguration(Small.llama, ["model_type": "quux"], "quux"),
    FaultyConfiguration(Small.llama, ["model_type": nil], "model_type"),
    FaultyConfiguration(Small.llama, ["model_type": 3], "model_type"),
    FaultyConfiguration(
      Small.llama, ["architectures": ["LlamaForSequenceClassification"]], "architectures"),
    FaultyConfiguration(Small.llama, ["architectures": [5]], "architectures[0]"),
    FaultyConfiguration(
      Small.llama, ["architectures": ["LlamaForCausalLM", nil]], "architectures[1]"),
    FaultyConfiguration(Small.llama, ["architectures": "LlamaForCausalLM"], "architectures"),
    FaultyConfiguration(Small.llama, ["auto_map": ["AutoModel": "modeling.py"]], "auto_map"),
    FaultyConfiguration(Small.llama, ["quantization_config": ["quant_method": "gptq"]], "GPTQ"),
    FaultyConfiguration(Small.llama, ["hidden_size": nil], "hidden_size"),
    FaultyConfiguration(Small.llama, ["hidden_size": -64], "hidden_size"),
    FaultyConfiguration(Small.llama, ["hidden_size": 64.5], "hidden_size"),
    FaultyConfiguration(Small.llama, ["hidden_size": "64"], "hidden_size"),
    FaultyConfiguration(Small.llama, ["hidden_size": 66], "attention heads"),
    FaultyConfiguration(Small.llama, ["num_attention_heads": 0], "num_attention_heads"),
    FaultyConfiguration(Small.llama, ["num_key_value_heads": 3], "key-value heads"),
    FaultyConfiguration(Small.llama, ["num_key_value_heads": 8], "key-value heads"),
    FaultyConfiguration(Small.llama, ["num_hidden_layers": 1_000_000_000], "layers"),
    FaultyConfiguration(Small.llama, ["vocab_size": 0], "vocab_size"),
    FaultyConfiguration(Small.llama, ["head_dim": 15], "head_dim"),
    FaultyConfiguration(Small.llama, ["hidden_act": "mystery"], "mystery"),
    FaultyConfiguration(Small.llama, ["rms_norm_eps": 0], "rms_norm_eps"),
    FaultyConfiguration(Small.llama, ["rms_norm_eps": true], "rms_norm_eps"),
    FaultyConfiguration(Small.llama, ["tie_word_embeddings": 1], "tie_word_embeddings"),
    FaultyConfiguration(
      Small.llama, ["num_hidden_layers": 9_000_000_000_000_000_000], "num_hidden_layers"),
    FaultyConfiguration(Small.gemma2, ["num_hidden_layers": 1_000_000], "layers"),
    FaultyConfiguration(Small.gpt2, ["n_embd": 4_611_686_018_427_387_904], "n_embd"),
    FaultyConfiguration(Small.llama, ["num_attention_heads": 3], "attention heads"),
    FaultyConfiguration(Small.llama, ["is_causal": false], "is_causal"),
    FaultyConfiguration(Small.llama, ["is_encoder_decoder": true], "is_encoder_decoder"),
    FaultyConfiguration(Small.llama, ["add_cross_attention": true], "add_cross_attention"),
    FaultyConfiguration(Small.llama, ["architectures": ["LlamaModel"]], "architectures"),
    FaultyConfiguration(Small.llama, ["partial_rotary_factor": 0.5], "partial_rotary_factor"),
    FaultyConfiguration(Small.llama, ["quantization_config": ["bits": 4]], "quantization_config"),
  ]

  /// Rotary positions.
  private static let rope: [FaultyConfiguration] = [
    FaultyConfiguration(Small.llama, ["rope_theta": "big"], "rope_theta"),
    FaultyConfiguration(Small.llama, ["rope_theta": 0.5], "rope_theta"),
    FaultyConfiguration(Small.llama, ["rope_scaling": ["rope_type": "spiral"]], "spiral"),
    FaultyConfiguration(Small.llama, ["rope_scaling": ["rope_type": "linear"]], "factor"),
    FaultyConfiguration(
      Small.llama, ["rope_scaling": ["rope_type": "linear", "factor": 0]], "factor"),
    FaultyConfiguration(
      Small.llama, ["rope_scaling": ["rope_type": "linear", "type": "yarn", "factor": 2.0]],
      "yarn"),
    FaultyConfiguration(
      Small.llama,
      ["rope_scaling": ["rope_type": "linear", "factor": 2.0, "rope_theta": 5.0]], "rope_theta"),
    FaultyConfiguration(
      Small.llama,
      [
        "rope_scaling": [
          "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 1.0,
        ]
      ], "high_freq_factor"),
    FaultyConfiguration(Small.llama, ["rope_scaling": ["type": "dynamic_ntk"]], "dynamic_ntk"),
    FaultyConfiguration(Small.llama, ["rope_scaling": "linear"], "rope_scaling"),
    FaultyConfiguration(
      Small.llama, ["rope_scaling": ["type": "linear", "factor": "4"]], "factor"),
    FaultyConfiguration(
      Small.llama, ["rope_scaling": ["type": "linear", "factor": 0.5]], "factor"),
    FaultyConfiguration(Small.llama, ["rope_scaling": ["type": 4]], "type"),
    FaultyConfiguration(Small.llama, ["rope_scaling": ["rope_type": "yarn"]], "factor"),
    FaultyConfiguration(
      Small.llama, ["rope_scaling": ["rope_type": "yarn", "factor": 4.0, "truncate": false]],
      "truncate"),
    FaultyConfiguration(
      Small.llama, ["rope_scaling": ["rope_type": "llama3", "factor": 8.0]], "low_freq_factor"),
    FaultyConfiguration(
      Small.llama,
      [
        "rope_scaling": ["type": "linear", "factor": 4.0],
        "rope_parameters": ["rope_type": "linear", "factor": 2.0],
      ], "rope_scaling.factor"),
    FaultyConfiguration(
      Small.llama, ["rope_parameters": ["rope_type": "default", "rope_theta": 5.0]],
      "rope_theta"),
    FaultyConfiguration(
      Small.llama,
      [
        "original_max_position_embeddings": 32,
        "rope_scaling": ["rope_type": "yarn", "factor": 4.0],
      ], "original_max_position_embeddings"),
    FaultyConfiguration(
      Small.llama, ["rope_parameters": ["full_attention": ["rope_type": "default"]]],
      "layer type"),
    FaultyConfiguration(
      Small.llama,
      [
        "original_max_position_embeddings": 32,
        "rope_scaling": [
          "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64,
        ],
      ], "original_max_position_embeddings"),
  ]

  /// Windows and kinds of layers.
  private static let layers: [FaultyConfiguration] = [
    FaultyConfiguration(Small.mistral, ["sliding_window": "wide"], "sliding_window"),
    FaultyConfiguration(Small.qwen3, ["layer_types": ["full_attention"]], "layer_types"),
    FaultyConfiguration(
      Small.qwen3,
      ["layer_types": ["sliding_attention", "full_attention", "full_attention"]],
      "sliding_window"),
    FaultyConfiguration(
      Small.gemma3,
      [
        "layer_types": [
          "mamba", "full_attention", "full_attention", "full_attention", "full_attention",
          "full_attention",
        ]
      ], "mamba"),
    FaultyConfiguration(Small.mistral, ["sliding_window": 0], "sliding_window"),
    FaultyConfiguration(Small.mistral, ["sliding_window": -4], "sliding_window"),
    FaultyConfiguration(Small.mistral, ["sliding_window": 4.5], "sliding_window"),
    FaultyConfiguration(Small.mixtral, ["sliding_window": 0], "sliding_window"),
    FaultyConfiguration(Small.phi3, ["sliding_window": -1], "sliding_window"),
    FaultyConfiguration(Small.gemma2, ["sliding_window": nil], "sliding_window"),
    FaultyConfiguration(Small.gemma3, ["sliding_window": 0], "sliding_window"),
    FaultyConfiguration(Small.gemma3, ["sliding_window_pattern": 0], "sliding_window_pattern"),
    FaultyConfiguration(Small.qwen2, ["use_sliding_window": 1], "use_sliding_window"),
    FaultyConfiguration(Small.qwen2, ["max_window_layers": -1], "max_window_layers"),
    FaultyConfiguration(
      Small.llama, ["layer_types": ["full_attention", "full_attention"]], "layer_types"),
    FaultyConfiguration(Small.llama, ["layer_types": "full_attention"], "layer_types"),
    FaultyConfiguration(Small.gemma2, ["layer_types": [1, 2, 3]], "layer_types[0]"),
    FaultyConfiguration(
      Small.llama,
      ["layer_types": ["full_attention", "full_attention", "full_attention", 5]],
      "layer_types[3]"),
    FaultyConfiguration(
      Small.mistral,
      ["layer_types": ["sliding_attention", "full_attention", "sliding_attention"]],
      "layer_types"),
  ]

  /// Keys of one family.
  private static let families: [FaultyConfiguration] = [
    FaultyConfiguration(Small.mistral, ["attention_bias": true], "attention_bias"),
    FaultyConfiguration(Small.qwen2, ["attention_bias": false], "attention_bias"),
    FaultyConfiguration(
      Small.gemma2, ["final_logit_softcapping": -30.0], "final_logit_softcapping"),
    FaultyConfiguration(Small.gemma2, ["query_pre_attn_scalar": 0], "query_pre_attn_scalar"),
    FaultyConfiguration(Small.phi, ["qk_layernorm": true], "qk_layernorm"),
    FaultyConfiguration(Small.phi, ["partial_rotary_factor": 1.5], "partial_rotary_factor"),
    FaultyConfiguration(Small.phi, ["partial_rotary_factor": 0.06], "rotary"),
    FaultyConfiguration(
      Small.phi3,
      ["rope_scaling": ["type": "longrope", "short_factor": [1.0], "long_factor": [1.0]]],
      "short_factor"),
    FaultyConfiguration(
      Small.phi3,
      [
        "rope_scaling": [
          "type": "longrope", "short_factor": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, "1"],
          "long_factor": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        ]
      ], "short_factor[8]"),
    FaultyConfiguration(Small.mixtral, ["num_experts_per_tok": 5], "num_experts_per_tok"),
    FaultyConfiguration(Small.gptj, ["rotary_dim": 32], "rotary_dim"),
    FaultyConfiguration(Small.gptj, ["rotary_dim": nil], "rotary_dim is null"),
    FaultyConfiguration(
      Small.gptj.without("rotary_dim"), [:], "rotary_dim is missing, and its default is 64"),
    FaultyConfiguration(Small.gptj, ["rotary": false], "rotary"),
    FaultyConfiguration(Small.gptj, ["scale_attn_weights": false], "scale_attn_weights"),
    FaultyConfiguration(Small.gpt2, ["add_cross_attention": true], "add_cross_attention"),
    FaultyConfiguration(Small.gpt2, ["n_embd": 66], "n_embd"),
    FaultyConfiguration(Small.gpt2, ["activation_function": nil, "n_layer": nil], "n_layer"),
    FaultyConfiguration(
      Small.gemma2, ["use_bidirectional_attention": true], "use_bidirectional_attention"),
    FaultyConfiguration(Small.gemma2, ["attn_logit_softcapping": 0], "attn_logit_softcapping"),
    FaultyConfiguration(Small.gemma2, ["attn_logit_softcapping": "50"], "attn_logit_softcapping"),
    FaultyConfiguration(Small.gemma2, ["hidden_activation": "gelu_10"], "gelu_10"),
    FaultyConfiguration(
      Small.gemma, ["hidden_act": "silu", "hidden_activation": "gelu_pytorch_tanh"], "hidden_act"),
    FaultyConfiguration(Small.gemma, ["hidden_act": "tanh"], "tanh"),
    FaultyConfiguration(Small.gemma3, ["query_pre_attn_scalar": -1], "query_pre_attn_scalar"),
    FaultyConfiguration(Small.gemma3, ["rope_parameters": ["rope_theta": 5.0]], "rope_parameters"),
    FaultyConfiguration(Small.gemma3, ["rope_local_base_freq": 1.0], "rope_local_base_freq"),
    FaultyConfiguration(Small.qwen3, ["head_dim": 0], "head_dim"),
    FaultyConfiguration(Small.qwen3, ["attention_bias": "no"], "attention_bias"),
    FaultyConfiguration(Small.gptNeoX, ["rotary_pct": 0], "rotary_pct"),
    FaultyConfiguration(Small.gptNeoX, ["rotary_pct": 0.2], "rotary"),
    FaultyConfiguration(
      Small.gptNeoX, ["rotary_pct": 0.25, "partial_rotary_factor": 0.5], "partial_rotary_factor"),
    FaultyConfiguration(Small.gptNeoX, ["rope_theta": 500.0], "rope_theta"),
    FaultyConfiguration(Small.gptNeoX, ["head_dim": 32], "head_dim"),
    FaultyConfiguration(Small.gptNeoX, ["use_parallel_residual": "yes"], "use_parallel_residual"),
    FaultyConfiguration(Small.stablelm, ["partial_rotary_factor": -0.5], "partial_rotary_factor"),
    FaultyConfiguration(Small.stablelm, ["partial_rotary_factor": 0.2], "rotary"),
    FaultyConfiguration(Small.stablelm, ["head_dim": 32], "head_dim"),
    FaultyConfiguration(Small.stablelm, ["layer_norm_eps": 0], "layer_norm_eps"),
    FaultyConfiguration(
      Small.stablelm, ["rope_parameters": ["partial_rotary_factor": 0.5]],
      "partial_rotary_factor"),
    FaultyConfiguration(Small.phi, ["tie_word_embeddings": true], "tie_word_embeddings"),
    FaultyConfiguration(Small.phi, ["hidden_act": "quick_gelu"], "quick_gelu"),
    FaultyConfiguration(Small.phi3, ["attention_bias": true], "attention_bias"),
    FaultyConfiguration(
      Small.phi3, ["rope_scaling": ["type": "linear", "factor": 2.0]], "longrope"),
    FaultyConfiguration(
      Small.phi3,
      [
        "rope_scaling": [
          "type": "longrope", "original_max_position_embeddings": 64, "short_factor": [1.0],
          "long_factor": [1.0],
        ]
      ], "original_max_position_embeddings"),
    FaultyConfiguration(
      Small.phi3,
      [
        "original_max_position_embeddings": 1,
        "rope_scaling": [
          "type": "longrope", "short_factor": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
          "long_factor": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -1.0],
        ],
      ], "original_max_position_embeddings"),
    FaultyConfiguration(Small.mixtral, ["num_experts_per_tok": 0], "num_experts_per_tok"),
    FaultyConfiguration(Small.mixtral, ["num_local_experts": 100_000], "experts"),
    FaultyConfiguration(Small.gptj, ["rotary_dim": 3], "rotary"),
    FaultyConfiguration(Small.gptj, ["rotary_dim": -8], "rotary_dim"),
    FaultyConfiguration(Small.gptj, ["tie_word_embeddings": true], "tie_word_embeddings"),
    FaultyConfiguration(Small.gptj, ["rope_theta": 500.0], "rope_theta"),
    FaultyConfiguration(Small.gptj, ["hidden_size": 128], "n_embd"),
    FaultyConfiguration(Small.gpt2, ["n_head": 4, "num_attention_heads": 8], "n_head"),
    FaultyConfiguration(Small.gpt2, ["scale_attn_weights": false], "scale_attn_weights"),
    FaultyConfiguration(Small.gpt2, ["activation_function": "tanh"], "tanh"),
    FaultyConfiguration(Small.gpt2, ["layer_norm_epsilon": -1e-5], "layer_norm_epsilon"),
  ]
}
