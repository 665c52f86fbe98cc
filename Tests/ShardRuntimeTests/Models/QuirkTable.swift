/// For each family, its peculiarities and how the golden test would see each of them missing.
enum QuirkTable {
  static let all =
    llama + mistral + qwen + gemma + gpt2 + gptj + gptNeoX + phi + phi3 + stableLM + mixtral

  static let llama: [Quirk] =
    [
      Quirk("llama", "grouped-query attention", "heads share keys round robin") {
        try $0.shareKeysRoundRobin()
      },
      Quirk("llama", "rotary over halves of a head", "over neighbours") {
        try $0.rotateNeighbours(dimensions: 8)
      },
      Quirk("llama-linear", "rope scaling (linear, llama3, yarn)", "rope_scaling", .null),
      Quirk("llama3", "rope scaling (linear, llama3, yarn)", "rope_scaling", .null),
      Quirk("llama3", "rope scaling (linear, llama3, yarn)", "linear instead") {
        $0.configuration["rope_scaling"] = ["rope_type": "linear", "factor": 8.0]
      },
      Quirk("llama-yarn", "rope scaling (linear, llama3, yarn)", "unscaled") {
        $0.configuration["rope_parameters"] = ["rope_type": "default", "rope_theta": 50.0]
      },
      Quirk("llama-yarn", "rope scaling (linear, llama3, yarn)", "attention_factor = 1") {
        $0.changeRope([("attention_factor", 1)])
      },
      Quirk("llama-yarn", "rope scaling (linear, llama3, yarn)", "beta_fast, beta_slow default") {
        $0.changeRope([("beta_fast", nil), ("beta_slow", nil)])
      },
      Quirk(
        "llama-biases", "head_dim apart from hidden_size / heads", "head_dim", nil, .refuses),
      Quirk(
        "llama-biases", "head_dim apart from hidden_size / heads", "scores scaled by hidden / heads"
      ) { try $0.change("q_proj.weight") { $0.scale(by: Float(12.0 / 8.0).squareRoot()) } },
      Quirk("llama-biases", "tied embeddings", "a head of its own") { try $0.untie() },
    ]
    + ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"].map {
      Quirk("llama-biases", "biases", zeroed: $0 + ".bias")
    }

  static let mistral: [Quirk] = [
    Quirk("mistral", "sliding window", "sliding_window", .null),
    Quirk("mistral", "sliding window", "sliding_window", 8),
    Quirk("mistral", "names with and without `model.`", "with", .changesNothing) {
      $0.rename { $0.hasPrefix("lm_head") ? $0 : "model." + $0 }
    },
  ]

  static let qwen: [Quirk] = [
    Quirk("qwen2", "biases on q, k, v only (2, 2.5)", zeroed: "q_proj.bias"),
    Quirk("qwen2", "biases on q, k, v only (2, 2.5)", zeroed: "k_proj.bias"),
    Quirk("qwen2", "biases on q, k, v only (2, 2.5)", zeroed: "v_proj.bias"),
    Quirk("qwen3", "q/k norm per head (3)", "model_type", "llama"),
    Quirk("qwen3", "head_dim apart from hidden_size / heads", "head_dim", 8, .refuses),
    Quirk(
      "qwen2", "sliding window switched off or for upper layers", "use_sliding_window", false),
    Quirk("qwen2", "sliding window switched off or for upper layers", "max_window_layers", 0),
    Quirk("qwen2", "sliding window switched off or for upper layers", "max_window_layers", 2),
    Quirk("qwen2", "tied embeddings", "a head of its own") { try $0.untie() },
  ]

  static let gemma: [Quirk] =
    [
      Quirk("gemma", "embeddings times √hidden_size", "unscaled") { try $0.embedUnscaled() },
      Quirk(
        "gemma", "hidden_act gelu means the tanh form (1)", "hidden_act", "gelu_pytorch_tanh",
        .changesNothing),
      Quirk("gemma2", "soft-capped scores and logits (2)", "attn_logit_softcapping", .null),
      Quirk("gemma2", "soft-capped scores and logits (2)", "final_logit_softcapping", .null),
      Quirk("gemma2", "query_pre_attn_scalar (2, 3)", "query_pre_attn_scalar", 16),
      Quirk("gemma3", "query_pre_attn_scalar (2, 3)", "query_pre_attn_scalar", 16),
      Quirk("gemma2", "norms before and after both parts (2, 3)", "before instead of after") {
        try $0.exchange("post_attention_layernorm.weight", "pre_feedforward_layernorm.weight")
      },
      Quirk(
        "gemma2", "norms before and after both parts (2, 3)",
        zeroed: "post_feedforward_layernorm.weight"),
      Quirk("gemma2", "alternating windows (2, 3)", "sliding_window", 64),
      Quirk("gemma2", "alternating windows (2, 3)", "all layers slide") {
        $0.configuration["layer_types"] = .array(Array(repeating: "sliding_attention", count: 4))
      },
      Quirk("gemma2", "alternating windows (2, 3)", "every other layer slides") {
        $0.configuration["layer_types"] = [
          "full_attention", "sliding_attention", "full_attention", "sliding_attention",
        ]
      },
      Quirk("gemma3", "alternating windows (2, 3)", "sliding_window", 64),
      Quirk("gemma3", "alternating windows (2, 3)", "sliding_window_pattern", 6),
      Quirk("gemma3", "q/k norm and two rope bases (3)", "rope_local_base_freq", 2000.0),
      Quirk("gemma3", "q/k norm and two rope bases (3)", "rope_theta", 100.0),
      Quirk("gemma3", "q/k norm and two rope bases (3)", "scaling everywhere") {
        $0.configuration["rope_parameters"] = [
          "sliding_attention": ["rope_type": "linear", "factor": 8.0, "rope_theta": 100.0],
          "full_attention": ["rope_type": "linear", "factor": 8.0, "rope_theta": 2000.0],
        ]
        $0.configuration["rope_scaling"] = nil
      },
      Quirk("gemma3", "q/k norm and two rope bases (3)", "rope_scaling", .null),
      // Layer 0 slides, and Gemma 2 with the sliding layers' base is Gemma 3 without the q/k norms.
      Quirk(
        "gemma3", "q/k norm and two rope bases (3)", "no q/k norm", .movesHidden(layer: 0)
      ) {
        $0.configuration["model_type"] = "gemma2"
        $0.configuration["rope_theta"] = 100.0
        $0.configuration["rope_scaling"] = nil
        $0.configuration["attn_logit_softcapping"] = .null
      },
    ]
    + ["gemma", "gemma2", "gemma3"].flatMap { fixture in
      [
        Quirk(fixture, "norm weights count as 1 + w", "as w") { try $0.subtractOneFromNorms() },
        Quirk(fixture, "tied embeddings", "a head of its own") { try $0.untie() },
      ]
    }

  static let gpt2: [Quirk] = [
    Quirk("gpt2", "linear weights stored [in, out] (Conv1D)", "a square one as [out, in]") {
      try $0.change("attn.c_proj.weight") { $0.transpose() }
    },
    Quirk("gpt2", "fused c_attn", "q, k, v of each head in turn") {
      try $0.fusePerHead("attn.c_attn", transposed: true)
    },
    Quirk("gpt2", "learned positions", zeroed: "wpe.weight"),
    Quirk("gpt2", "tied embeddings", "a head of its own") {
      try $0.untie(embedding: "wte.weight")
    },
    Quirk(
      "gpt2", "names with and without `transformer.`, stored mask buffers", "with, no buffers",
      .changesNothing
    ) { $0.rename { "transformer." + $0 } },
    Quirk(
      "gpt2-scaled", "scores divided by the layer's number",
      "scale_attn_by_inverse_layer_idx", false),
  ]

  static let gptj: [Quirk] = [
    Quirk("gptj", "parallel attention and feed-forward behind one norm", "in turn") {
      try $0.runPartsInTurn(layersKey: "n_layer", attention: "out_proj", feedForward: "fc_out")
    },
    Quirk("gptj", "partial rotary over neighbouring pairs", "over halves") {
      try $0.rotateHalves(dimensions: 4)
    },
    Quirk("gptj", "partial rotary over neighbouring pairs", "rotary_dim", 8),
    Quirk("gptj", "bias on the head", zeroed: "lm_head.bias"),
    Quirk("gptj", "biases of the feed-forward", zeroed: "fc_in.bias"),
    Quirk("gptj", "biases of the feed-forward", zeroed: "fc_out.bias"),
  ]

  static let gptNeoX: [Quirk] =
    [
      Quirk("gpt-neox", "fused qkv interleaved per head", "all q, all k, all v") {
        try $0.fuseWhole("query_key_value")
      },
      Quirk("gpt-neox-sequential", "fused qkv interleaved per head", "all q, all k, all v") {
        try $0.fuseWhole("query_key_value")
      },
      Quirk("gpt-neox", "partial rotary", "rotary_pct", 1.0),
      Quirk("gpt-neox", "partial rotary", "rotary_pct", nil),
      Quirk("gpt-neox-sequential", "partial rotary", "partial_rotary_factor missing") {
        $0.changeRope([("partial_rotary_factor", nil)])
      },
      Quirk("gpt-neox", "parallel residual with two norms", "use_parallel_residual", false),
      Quirk(
        "gpt-neox-sequential", "parallel residual with two norms", "use_parallel_residual", true),
      Quirk("gpt-neox", "parallel residual with two norms", "norms exchanged") {
        try $0.exchange("input_layernorm.weight", "post_attention_layernorm.weight")
      },
      Quirk("gpt-neox-sequential", "tied embeddings", "a head of its own") {
        try $0.untie(embedding: "gpt_neox.embed_in.weight", head: "embed_out.weight")
      },
    ]
    + ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"].map {
      Quirk("gpt-neox", "biases", zeroed: $0 + ".bias")
    }

  static let phi: [Quirk] =
    [
      Quirk("phi", "parallel attention and feed-forward behind one norm", "in turn") {
        try $0.runPartsInTurn(
          layersKey: "num_hidden_layers", attention: "dense", feedForward: "fc2")
      },
      Quirk("phi", "partial rotary", "partial_rotary_factor", 1.0),
      Quirk("phi", "partial rotary", "partial_rotary_factor", nil),
      Quirk("phi", "grouped-query attention", "heads share keys round robin") {
        try $0.shareKeysRoundRobin(output: "dense")
      },
    ]
    + ["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2", "lm_head"].map {
      Quirk("phi", "biases everywhere, the head too", zeroed: $0 + ".bias")
    }

  static let phi3: [Quirk] = [
    Quirk("phi3", "fused qkv_proj and gate_up_proj", "up before gate") {
      try $0.change("gate_up_proj.weight") { $0.reorderRows(Array(48..<96) + Array(0..<48)) }
    },
    // Two query heads share a key-value head of 8 channels: q, q, k, v of each group in turn.
    Quirk("phi3", "fused qkv_proj and gate_up_proj", "q, k, v of each group in turn") {
      let queries = Array(0..<16) + Array(32..<48)
      let keys = Array(16..<24) + Array(48..<56)
      let values = Array(24..<32) + Array(56..<64)
      try $0.change("qkv_proj.weight") { $0.reorderRows(queries + keys + values) }
    },
    Quirk("phi3-longrope", "long rope", "rope_scaling", .null),
    Quirk("phi3-longrope", "long rope", "short factors for long contexts") {
      var rope = $0.configuration["rope_scaling"]?.object ?? [:]
      rope["long_factor"] = rope["short_factor"]
      $0.configuration["rope_scaling"] = .object(rope)
    },
    Quirk("phi3-longrope", "long rope", "long factors for short contexts", .movesShortLogits) {
      var rope = $0.configuration["rope_scaling"]?.object ?? [:]
      rope["short_factor"] = rope["long_factor"]
      $0.configuration["rope_scaling"] = .object(rope)
    },
    Quirk("phi3-longrope", "long rope", "attention_factor = 1") {
      $0.changeRope([("attention_factor", 1)])
    },
    Quirk("phi3", "sliding window", "sliding_window", .null),
    Quirk("phi3", "partial rotary", "partial_rotary_factor", nil),
  ]

  static let stableLM: [Quirk] = [
    Quirk("stablelm", "layer norm with SwiGLU", zeroed: "input_layernorm.bias"),
    Quirk("stablelm", "layer norm with SwiGLU", "hidden_act", "gelu"),
    Quirk("stablelm", "partial rotary", "partial_rotary_factor", 1.0),
    Quirk("stablelm-parallel", "partial rotary", "partial_rotary_factor missing") {
      $0.changeRope([("partial_rotary_factor", nil)])
    },
    Quirk("stablelm", "biases on q, k, v", zeroed: "q_proj.bias"),
    Quirk("stablelm", "biases on q, k, v", zeroed: "k_proj.bias"),
    Quirk("stablelm", "biases on q, k, v", zeroed: "v_proj.bias"),
    Quirk("stablelm", "biases on q, k, v", "use_qkv_bias", false, .refuses),
    Quirk("stablelm", "parallel residual", "use_parallel_residual", true),
    Quirk("stablelm-parallel", "parallel residual", "in turn") {
      try $0.runPartsInTurn(
        layersKey: "num_hidden_layers", attention: "o_proj", feedForward: "down_proj")
    },
    Quirk("stablelm-parallel", "layer norm of each head of q and k", "qk_layernorm", false),
    Quirk("stablelm-parallel", "layer norm of each head of q and k", "weights of another head") {
      try $0.exchange("q_layernorm.norms.0.weight", "q_layernorm.norms.1.weight")
    },
  ]

  static let mixtral: [Quirk] = [
    Quirk("mixtral", "experts chosen for each token", "num_experts_per_tok", 1),
    Quirk("mixtral", "experts chosen for each token", "num_experts_per_tok", 4),
    Quirk("mixtral", "experts chosen for each token", zeroed: "block_sparse_moe.gate.weight"),
    // Without that, outputs shrink by the share of the chosen experts, which differs by token.
    Quirk("mixtral", "weights of the chosen experts sum to 1", "they sum to 0.9") {
      try $0.change(".w2.weight") { $0.scale(by: 0.9) }
    },
    Quirk("mixtral", "grouped-query attention", "heads share keys round robin") {
      try $0.shareKeysRoundRobin()
    },
  ]
}
