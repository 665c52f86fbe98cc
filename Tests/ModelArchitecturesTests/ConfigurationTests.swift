import ModelArchitectures
import StrictJSON
import TensorCore
import Testing

@Suite struct ConfigurationTests {
  private typealias Small = SmallConfiguration

  /// A configuration that describes no model we run, and a word that its error must hold.
  struct Faulty: CustomTestStringConvertible, Sendable {
    let configuration: JSONObject
    let word: String
    let testDescription: String

    init(_ base: JSONObject, _ changes: JSONObject, _ word: String) {
      configuration = base.with(changes)
      self.word = word
      testDescription = changes.members.map { "\($0) = \($1.serialized(.compact))" }
        .joined(separator: ", ")
    }
  }

  static let faults: [Faulty] = [
    Faulty(Small.llama, ["model_type": "quux"], "quux"),
    Faulty(Small.llama, ["model_type": nil], "model_type"),
    Faulty(Small.llama, ["model_type": 3], "model_type"),
    Faulty(Small.llama, ["architectures": ["LlamaForSequenceClassification"]], "architectures"),
    Faulty(Small.llama, ["auto_map": ["AutoModel": "modeling.py"]], "auto_map"),
    Faulty(Small.llama, ["quantization_config": ["quant_method": "gptq"]], "gptq"),
    Faulty(Small.llama, ["hidden_size": nil], "hidden_size"),
    Faulty(Small.llama, ["hidden_size": -64], "hidden_size"),
    Faulty(Small.llama, ["hidden_size": 64.5], "hidden_size"),
    Faulty(Small.llama, ["hidden_size": "64"], "hidden_size"),
    Faulty(Small.llama, ["hidden_size": 66], "attention heads"),
    Faulty(Small.llama, ["num_attention_heads": 0], "num_attention_heads"),
    Faulty(Small.llama, ["num_key_value_heads": 3], "key-value heads"),
    Faulty(Small.llama, ["num_key_value_heads": 8], "key-value heads"),
    Faulty(Small.llama, ["num_hidden_layers": 1_000_000_000], "layers"),
    Faulty(Small.llama, ["vocab_size": 0], "vocab_size"),
    Faulty(Small.llama, ["head_dim": 15], "head_dim"),
    Faulty(Small.llama, ["hidden_act": "mystery"], "mystery"),
    Faulty(Small.llama, ["rms_norm_eps": 0], "rms_norm_eps"),
    Faulty(Small.llama, ["rms_norm_eps": true], "rms_norm_eps"),
    Faulty(Small.llama, ["tie_word_embeddings": 1], "tie_word_embeddings"),
    Faulty(Small.llama, ["rope_theta": "big"], "rope_theta"),
    Faulty(Small.llama, ["rope_theta": 0.5], "rope_theta"),
    Faulty(Small.llama, ["rope_scaling": ["rope_type": "spiral"]], "spiral"),
    Faulty(Small.llama, ["rope_scaling": ["rope_type": "linear"]], "factor"),
    Faulty(Small.llama, ["rope_scaling": ["rope_type": "linear", "factor": 0]], "factor"),
    Faulty(
      Small.llama, ["rope_scaling": ["rope_type": "linear", "type": "yarn", "factor": 2.0]],
      "yarn"),
    Faulty(
      Small.llama,
      ["rope_scaling": ["rope_type": "linear", "factor": 2.0, "rope_theta": 5.0]], "rope_theta"),
    Faulty(
      Small.llama,
      [
        "rope_scaling": [
          "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 1.0,
        ]
      ], "high_freq_factor"),
    Faulty(Small.mistral, ["sliding_window": "wide"], "sliding_window"),
    Faulty(Small.mistral, ["attention_bias": true], "attention_bias"),
    Faulty(Small.qwen2, ["attention_bias": false], "attention_bias"),
    Faulty(Small.qwen3, ["layer_types": ["full_attention"]], "layer_types"),
    Faulty(
      Small.qwen3,
      ["layer_types": ["sliding_attention", "full_attention", "full_attention"]],
      "sliding_window"),
    Faulty(
      Small.gemma3,
      [
        "layer_types": [
          "mamba", "full_attention", "full_attention", "full_attention", "full_attention",
          "full_attention",
        ]
      ], "mamba"),
    Faulty(Small.gemma2, ["final_logit_softcapping": -30.0], "final_logit_softcapping"),
    Faulty(Small.gemma2, ["query_pre_attn_scalar": 0], "query_pre_attn_scalar"),
    Faulty(Small.phi, ["qk_layernorm": true], "qk_layernorm"),
    Faulty(Small.phi, ["partial_rotary_factor": 1.5], "partial_rotary_factor"),
    Faulty(Small.phi, ["partial_rotary_factor": 0.06], "rotary"),
    Faulty(
      Small.phi3,
      ["rope_scaling": ["type": "longrope", "short_factor": [1.0], "long_factor": [1.0]]],
      "short_factor"),
    Faulty(Small.mixtral, ["num_experts_per_tok": 5], "num_experts_per_tok"),
    Faulty(Small.gptj, ["rotary_dim": 32], "rotary_dim"),
    Faulty(Small.gptj, ["rotary": false], "rotary"),
    Faulty(Small.gptj, ["scale_attn_weights": false], "scale_attn_weights"),
    Faulty(Small.gpt2, ["add_cross_attention": true], "add_cross_attention"),
    Faulty(Small.gpt2, ["n_embd": 66], "n_embd"),
    Faulty(Small.gpt2, ["activation_function": nil, "n_layer": nil], "n_layer"),
  ]

  @Test(arguments: faults) func refuses(faulty: Faulty) throws {
    let error = try #require(throws: ArchitectureFault.self) {
      _ = try ArchitectureRegistry.architecture(for: faulty.configuration)
    }
    #expect(error.exitStatus == .badData)
    #expect(error.message.contains(faulty.word), "\(error.message)")
    #expect(!error.message.contains("\n"))
  }

  @Test(arguments: SmallConfiguration.all) func reads(configuration: JSONObject) throws {
    let architecture = try ArchitectureRegistry.architecture(for: configuration)
    #expect(architecture.dimensions.vocabularySize == 100)
    #expect(architecture.dimensions.layerCount >= 3)
    var names: Set<String> = []
    for component in architecture.components {
      for spec in architecture.tensors(of: component) {
        let isShared = component == .head && architecture.dimensions.tiesEmbeddings
        #expect(names.insert(spec.name).inserted || isShared, "\(spec.name) stands twice")
        #expect(spec.shape.allSatisfy { $0 > 0 })
        #expect(spec.source.names.first?.isEmpty == false)
      }
    }
  }

  @Test func spellingsOfRopeMeanTheSame() throws {
    let old = Small.llama.with([
      "rope_theta": 500_000.0, "rope_scaling": ["type": "linear", "factor": 4.0],
    ])
    let new = Small.llama.without("rope_theta").with([
      "rope_parameters": ["rope_theta": 500_000.0, "rope_type": "linear", "factor": 4.0]
    ])
    let tables = try [old, new].map {
      try ArchitectureRegistry.architecture(for: $0).rotaryEmbeddings[0]
        .frequencies(positions: 64)
    }
    #expect(tables[0].0 == tables[1].0)
    #expect(tables[0].1 == tables[1].1)
  }

  @Test func missingOptionalKeysTakeTheFamilysDefaults() throws {
    let bare = Small.llama.without("num_key_value_heads").without("rope_theta")
      .without("rms_norm_eps").without("hidden_act").without("tie_word_embeddings")
    let dimensions = try ArchitectureRegistry.architecture(for: bare).dimensions
    #expect(dimensions.keyValueHeadCount == 4)
    #expect(!dimensions.tiesEmbeddings)
    let mistral = Small.mistral.without("sliding_window")
    let window = try ArchitectureRegistry.architecture(for: mistral).keyValueShape(layer: 0).window
    #expect(window == 4096)
    let unlimited = Small.mistral.with(["sliding_window": nil])
    #expect(
      try ArchitectureRegistry.architecture(for: unlimited).keyValueShape(layer: 0).window == nil)
    let gpt2 = try ArchitectureRegistry.architecture(for: Small.gpt2).dimensions
    #expect(gpt2.tiesEmbeddings && gpt2.intermediateSize == 256)
  }

  @Test func windowsAlternateAsEachFamilySays() throws {
    func windows(_ configuration: JSONObject) throws -> [Bool] {
      let architecture = try ArchitectureRegistry.architecture(for: configuration)
      return (0..<architecture.dimensions.layerCount).map {
        architecture.keyValueShape(layer: $0).window != nil
      }
    }
    #expect(try windows(Small.gemma2) == [true, false, true])
    #expect(try windows(Small.gemma3) == [true, true, false, true, true, false])
    #expect(try windows(Small.qwen2) == [false, false, false])
    let sliding = Small.qwen2.with([
      "use_sliding_window": true, "sliding_window": 8, "max_window_layers": 1,
    ])
    #expect(try windows(sliding) == [false, true, true])
  }

  @Test func componentsHaveNamesAndAnOrder() {
    for component in Component.all(layerCount: 3) {
      #expect(Component(name: component.name) == component)
    }
    for name in ["", "block-", "block-01", "block--1", "block-x", "tail"] {
      #expect(Component(name: name) == nil)
    }
    #expect(Component.all(layerCount: 12) == Component.all(layerCount: 12).sorted())
  }
}
