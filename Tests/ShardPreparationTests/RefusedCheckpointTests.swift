import Quantization
import ShardPreparation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// What stands in the way is said before any byte is written, and nothing is left behind.
@Suite struct RefusedCheckpointTests {
  private static let query = "model.layers.1.self_attn.q_proj.weight"

  private func refusal(
    recipe: Recipe = .bits4, _ change: (inout SmallCheckpoint) -> Void
  ) throws -> (code: String, message: String) {
    let directory = try TemporaryDirectory()
    var checkpoint = SmallCheckpoint()
    change(&checkpoint)
    let source = directory.appending("in")
    try checkpoint.write(to: source)
    var found = ("none", "")
    do {
      try quantize(source, to: directory.appending("out"), recipe: recipe)
    } catch let fault as any Fault {
      found = (fault.code, fault.message)
      #expect(fault.exitStatus == .badData)
      #expect(try Directory.names(in: directory.path) == ["in"])
    }
    return found
  }

  @Test func soundCheckpointsPass() throws {
    #expect(try refusal { _ in }.code == "none")
  }

  /// Weights that another tool has quantized, by what config.json says, with what to do.
  @Test(arguments: [
    (#"{"quant_method":"gptq","bits":4}"#, "by GPTQ", "GGUF"),
    (#"{"quant_method":"awq","bits":4}"#, "by AWQ", "GGUF"),
    (#"{"quant_method":"bitsandbytes","load_in_4bit":true}"#, "by bitsandbytes", "dequantize()"),
    (#"{"load_in_8bit":true}"#, "by bitsandbytes", "dequantize()"),
    (#"{"quant_method":"hqq"}"#, "by \"hqq\"", "original fp16"),
    ("{}", "by another tool", "original fp16"),
  ])
  func weightsOfOtherToolsAreRecognised(record: String, tool: String, advice: String) throws {
    let value = try JSONParsing().parse(Array(record.utf8))
    let (code, message) = try refusal { $0.configuration["quantization_config"] = value }
    #expect(code == "architecture.configuration")
    #expect(message.contains(tool) && message.contains(advice), "\(message)")
  }

  /// The same by the names of tensors.
  @Test(arguments: [
    ([".qweight", ".scales", ".qzeros", ".g_idx"], "by GPTQ"),
    ([".qweight", ".scales", ".qzeros"], "by AWQ"),
    ([".weight.absmax", ".weight.quant_map"], "by bitsandbytes"),
    ([".weight.quant_state.bitsandbytes__nf4"], "by bitsandbytes"), ([".SCB"], "by bitsandbytes"),
  ])
  func tensorsOfOtherToolsAreRecognised(endings: [String], tool: String) throws {
    let (code, message) = try refusal { checkpoint in
      for ending in endings {
        checkpoint.tensors["model.layers.0.mlp.up_proj" + ending] = (.f32, [2], [1, 2])
      }
    }
    #expect(code == "preparation.foreignQuantization")
    #expect(message.contains(tool), "\(message)")
  }

  @Test func missingTensorsAreNamed() throws {
    let (code, message) = try refusal { $0.tensors[Self.query] = nil }
    #expect(code == "preparation.missingTensor")
    #expect(message.contains(Self.query))
  }

  @Test func misshapenTensorsAreNamed() throws {
    let (code, message) = try refusal {
      $0.tensors[Self.query] = (.f32, [31, 32], [Float](repeating: 0, count: 31 * 32))
    }
    #expect(code == "preparation.tensorShape")
    #expect(message.contains(Self.query) && message.contains("[31, 32]"))
  }

  @Test func tensorsOfOtherTypesAreNamed() throws {
    let (code, message) = try refusal {
      $0.tensors[Self.query] = (.i32, [32, 32], [Float](repeating: 0, count: 1024))
    }
    #expect(code == "preparation.tensorType")
    #expect(message.contains("I32"))
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity])
  func weightsThatAreNoNumbersAreNamed(value: Float) throws {
    for bits in [4, 8, 16] {
      let (code, message) = try refusal(recipe: Recipe.bits(bits) ?? .bits4) {
        $0.tensors[Self.query]?.values[5 * 32 + 7] = value
      }
      #expect(code == "checkpoint.notFinite")
      #expect(message.contains(Self.query) && message.contains("[5, 7]"), "\(message)")
    }
  }

  /// Directories that were made for the output go with it; those that were there stay.
  @Test func nothingIsLeftAboveTheOutput() throws {
    let directory = try TemporaryDirectory()
    var checkpoint = SmallCheckpoint()
    checkpoint.tensors[Self.query]?.values[0] = .nan
    try checkpoint.write(to: directory.appending("in"))
    try Directory.create(directory.appending("empty"))
    for output in ["a/b/q", "empty/q", "empty/c/q"] {
      let code = faultCode {
        try quantize(directory.appending("in"), to: directory.appending(output))
      }
      #expect(code == "checkpoint.notFinite")
    }
    // A file where a directory has to be.
    let file = directory.appending("in/config.json")
    #expect(faultCode { try quantize(directory.appending("in"), to: "\(file)/d/q") } != "none")
    #expect(try Directory.names(in: directory.path) == ["empty", "in"])
    #expect(try Directory.names(in: directory.appending("empty")).isEmpty)
  }

  @Test func theFirstOfSeveralFaultsIsNamed() throws {
    for _ in 0..<5 {
      let (_, message) = try refusal {
        for name in Array($0.tensors.keys) { $0.tensors[name]?.values[3] = .nan }
      }
      #expect(message.contains("model.embed_tokens.weight"))
    }
  }

  @Test func weightsBeyondHalfPrecisionAreNamed() throws {
    let recipe = try Recipe.uniform("f16")
    let (code, message) = try refusal(recipe: recipe) {
      $0.tensors[Self.query]?.values[2 * 32 + 1] = 65_520
    }
    #expect(code == "preparation.outOfRange")
    #expect(message.contains("row 2, column 1"))
    #expect(
      try refusal(recipe: recipe) { $0.tensors[Self.query]?.values[0] = 65_519 }.code == "none")
  }

  @Test func unknownModelsAreRefused() throws {
    #expect(
      try refusal { $0.configuration["model_type"] = "quux" }.code == "architecture.configuration")
    #expect(
      try refusal { $0.configuration["quantization_config"] = ["quant_method": "gptq"] }.code
        == "architecture.configuration")
  }

  @Test func extraTensorsAreOnlyWarnedAbout() throws {
    let directory = try TemporaryDirectory()
    var checkpoint = SmallCheckpoint()
    checkpoint.tensors["model.extra"] = (.i32, [2], [0, 0])
    checkpoint.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = (.f32, [4], [1, 2, 3, 4])
    try checkpoint.write(to: directory.appending("in"))
    let quantizer = try Quantizer(
      try .init(directory: directory.appending("in")), recipe: .bits4)
    #expect(quantizer.warnings.count == 1)
    #expect(quantizer.warnings.first?.contains("model.extra") == true)
    #expect(quantizer.warnings.first?.contains("inv_freq") == false)
  }

  /// What contradicts config.json is no mere leftover.
  @Test(arguments: [
    ("model.layers.2.mlp.up_proj.weight", [48, 32]), ("model.layers.0.self_attn.q_proj.bias", [32]),
    ("model.layers.1.mlp.down_proj.bias", [32]), ("lm_head.bias", [40]),
  ]) func contradictoryExtraTensorsAreNamed(name: String, shape: [Int]) throws {
    let (code, message) = try refusal {
      $0.tensors[name] = (.f32, shape, [Float](repeating: 0, count: shape.reduce(1, *)))
    }
    #expect(code == "preparation.extraTensor")
    #expect(message.contains(name), "\(message)")
  }

  @Test func headsThatAreTiedAndDifferAreNamed() throws {
    let (code, message) = try refusal { $0.configuration["tie_word_embeddings"] = true }
    #expect(code == "preparation.differentTwins")
    #expect(message.contains("lm_head.weight") && message.contains("tie_word_embeddings"))
  }

  @Test func tensorsUnderTwoNamesHaveToAgree() throws {
    let same = try refusal { $0.tensors["norm.weight"] = $0.tensors["model.norm.weight"] }
    #expect(same.code == "none")
    let other = try refusal {
      $0.tensors["norm.weight"] = (.f32, [32], [Float](repeating: 1, count: 32))
    }
    #expect(other.code == "preparation.differentTwins")
  }

  /// Every verdict of the larger reference set that needs a model's shapes to be reached.
  @Test func referenceVerdictsAreMet() throws {
    let place = "\(Places.referenceSet ?? "")/malformed"
    guard Places.referenceSet != nil,
      let cases = try? JSONParsing().parse(try InputFile.contents(of: "\(place)/expected.json"))
    else { return }
    let directory = try TemporaryDirectory()
    var checked = 0
    for entry in cases["cases"]?.array ?? [] where entry["level"]?.string == "model" {
      let name = try #require(entry["name"]?.string)
      let accepts = entry["expect"]?.string == "accept"
      let code = faultCode { try quantize("\(place)/\(name)", to: directory.appending(name)) }
      #expect((code == "none") == accepts, "\(name): \(code)")
      checked += 1
    }
    print("met \(checked) verdicts on models")
    #expect(checked > 5)
  }
}
