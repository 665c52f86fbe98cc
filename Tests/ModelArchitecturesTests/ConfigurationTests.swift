import ModelArchitectures
import StrictJSON
import TensorCore
import Testing

@Suite struct ConfigurationTests {
  private typealias Small = SmallConfiguration

  @Test(arguments: FaultyConfiguration.all) func refuses(faulty: FaultyConfiguration) throws {
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

  /// transformers 5 writes the new spelling; what it read is in the old one.
  @Test(arguments: SmallConfiguration.spellings)
  func oldAndNewSpellingsMeanTheSame(pair: SmallConfiguration.Spellings) throws {
    let both = try [pair.old, pair.new].map(ArchitectureRegistry.architecture)
    #expect(both[0].dimensions == both[1].dimensions)
    for layer in 0..<both[0].dimensions.layerCount {
      #expect(both[0].keyValueShape(layer: layer) == both[1].keyValueShape(layer: layer))
    }
    for component in both[0].components {
      #expect(both[0].tensors(of: component) == both[1].tensors(of: component))
    }
    let tables = both.map { $0.rotaryEmbeddings.map { $0.frequencies(positions: 64) } }
    #expect(tables[0].map(\.0) == tables[1].map(\.0))
    #expect(tables[0].map(\.1) == tables[1].map(\.1))
  }

  /// Without rotary_dim 64 channels rotate; where it is null, the whole of a single head does.
  @Test func rotaryChannelsOfGPTJ() throws {
    let single = Small.gptj.with(["n_embd": 128, "n_head": 1])
    func channels(_ configuration: JSONObject) throws -> Int {
      let architecture = try ArchitectureRegistry.architecture(for: configuration)
      return 2 * architecture.rotaryEmbeddings[0].frequencies(positions: 64).0.count
    }
    #expect(try channels(single) == 8)
    #expect(try channels(single.without("rotary_dim")) == 64)
    #expect(try channels(single.with(["rotary_dim": nil])) == 128)
  }

  @Test func absentAndNullAreTwoThings() throws {
    func heads(_ configuration: JSONObject) throws -> Int {
      try ArchitectureRegistry.architecture(for: configuration).dimensions.keyValueHeadCount
    }
    // Families that came with 8 key-value heads; null says as many as query heads.
    let eight: JSONObject = ["num_attention_heads": 8, "head_dim": 8]
    for base in [Small.mistral, Small.mixtral] {
      #expect(try heads(base.with(eight).without("num_key_value_heads")) == 8)
      #expect(try heads(base.with(["num_key_value_heads": nil])) == 4)
    }
    let phi3 = Small.phi3.with([
      "max_position_embeddings": 8192,
      "rope_scaling": [
        "type": "longrope", "short_factor": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        "long_factor": [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0],
      ],
    ])
    let rotary = try ArchitectureRegistry.architecture(for: phi3).rotaryEmbeddings[0]
    #expect(rotary.frequencies(positions: 4096).0[0] == 1)
    #expect(rotary.frequencies(positions: 4097).0[0] == 0.5)
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
    #expect(try windows(sliding.with(["max_window_layers": 0])) == [true, true, true])
    #expect(try windows(sliding.with(["sliding_window": nil])) == [false, false, false])
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
