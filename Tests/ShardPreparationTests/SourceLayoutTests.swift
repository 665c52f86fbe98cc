import Checkpoints
import Quantization
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// Checkpoints come in many layouts; the quantized form has one.
@Suite struct SourceLayoutTests {
  private func weights(_ directory: String) throws -> [String: [Float]] {
    let checkpoint = try QuantizedCheckpoint(directory: directory)
    var result: [String: [Float]] = [:]
    for (name, tensor) in checkpoint.tensors {
      var floats = [Float](repeating: 0, count: tensor.elementCount)
      var span = floats.mutableSpan
      try checkpoint.readFloats(tensor, rows: 0..<tensor.rows, into: &span)
      result[name] = floats
    }
    return result
  }

  /// Everything but the digests of the files that it was made from.
  private func weights(in directory: String) throws -> [String: [UInt8]] {
    var files = try files(in: directory)
    #expect(files.removeValue(forKey: "provenance.json") != nil)
    return files
  }

  @Test func prefixesMayBeMissing() throws {
    let directory = try TemporaryDirectory()
    let checkpoint = SmallCheckpoint()
    try checkpoint.write(to: directory.appending("a"))
    var bare = checkpoint
    bare.tensors = [:]
    for (name, tensor) in checkpoint.tensors {
      bare.tensors[name.hasPrefix("model.") ? String(name.dropFirst(6)) : name] = tensor
    }
    try bare.write(to: directory.appending("b"))
    try quantize(directory.appending("a"), to: directory.appending("qa"))
    try quantize(directory.appending("b"), to: directory.appending("qb"))
    #expect(try weights(in: directory.appending("qa")) == weights(in: directory.appending("qb")))
  }

  @Test func tiedEmbeddingsAreStoredOnce() throws {
    let directory = try TemporaryDirectory()
    var checkpoint = SmallCheckpoint()
    checkpoint.configuration["tie_word_embeddings"] = true
    checkpoint.tensors["lm_head.weight"] = nil
    try checkpoint.write(to: directory.appending("in"))
    try quantize(directory.appending("in"), to: directory.appending("out"))
    let quantized = try QuantizedCheckpoint(directory: directory.appending("out"))
    #expect(quantized.tensors["lm_head.weight"] == nil)
    #expect(quantized.tensors["model.embed_tokens.weight"]?.scheme.name == "q8")
  }

  /// Where the head is tied, a checkpoint may hold the matrix under either name, or both.
  @Test func tiedEmbeddingsMayHaveEitherName() throws {
    let directory = try TemporaryDirectory()
    var checkpoint = SmallCheckpoint()
    checkpoint.configuration["tie_word_embeddings"] = true
    let (embedding, head) = ("model.embed_tokens.weight", "lm_head.weight")
    let matrix = checkpoint.tensors[embedding]
    var outputs: [[String: [UInt8]]] = []
    for (index, names) in [[embedding], [head], [embedding, head]].enumerated() {
      checkpoint.tensors[embedding] = names.contains(embedding) ? matrix : nil
      checkpoint.tensors[head] = names.contains(head) ? matrix : nil
      try checkpoint.write(to: directory.appending("in\(index)"))
      try quantize(directory.appending("in\(index)"), to: directory.appending("out\(index)"))
      outputs.append(try weights(in: directory.appending("out\(index)")))
    }
    #expect(outputs[0] == outputs[1] && outputs[0] == outputs[2])
  }

  @Test(arguments: [DataType.f32, .bf16, .f16])
  func passingThroughIsExact(type: DataType) throws {
    let directory = try TemporaryDirectory()
    var checkpoint = SmallCheckpoint()
    for name in Array(checkpoint.tensors.keys) { checkpoint.tensors[name]?.dataType = type }
    try checkpoint.write(to: directory.appending("in"))
    try quantize(directory.appending("in"), to: directory.appending("out"), recipe: .bits16)
    let original = try Checkpoint(directory: directory.appending("in"))
    for (name, floats) in try weights(directory.appending("out")) {
      let shape = try #require(original.entry(name)).shape
      var expected = [Float](repeating: 0, count: floats.count)
      var span = expected.mutableSpan
      try original.readFloats(name, rows: 0..<(shape.count > 1 ? shape[0] : 1), into: &span)
      #expect(floats == expected, "\(name)")
    }
  }

  /// GPT-2 stores [input, output] and three projections in one matrix.
  @Test func transposedWeightsAreTurnedBack() throws {
    let directory = try TemporaryDirectory()
    var checkpoint = SmallCheckpoint()
    checkpoint.configuration = [
      "model_type": "gpt2", "vocab_size": 20, "n_embd": 16, "n_layer": 1, "n_head": 2,
      "n_positions": 32, "n_ctx": 32,
    ]
    var generator = SeededGenerator(seed: 4)
    func tensor(_ shape: [Int]) -> (dataType: DataType, shape: [Int], values: [Float]) {
      let values = (0..<shape.reduce(1, *)).map { _ in Float(generator.next() >> 40) / 8_388_608 - 1
      }
      return (.f32, shape, values)
    }
    checkpoint.tensors = [
      "wte.weight": tensor([20, 16]), "wpe.weight": tensor([32, 16]),
      "ln_f.weight": tensor([16]), "ln_f.bias": tensor([16]),
      "h.0.ln_1.weight": tensor([16]), "h.0.ln_1.bias": tensor([16]),
      "h.0.ln_2.weight": tensor([16]), "h.0.ln_2.bias": tensor([16]),
      "h.0.attn.c_attn.weight": tensor([16, 48]), "h.0.attn.c_attn.bias": tensor([48]),
      "h.0.attn.c_proj.weight": tensor([16, 16]), "h.0.attn.c_proj.bias": tensor([16]),
      "h.0.mlp.c_fc.weight": tensor([16, 64]), "h.0.mlp.c_fc.bias": tensor([64]),
      "h.0.mlp.c_proj.weight": tensor([64, 16]), "h.0.mlp.c_proj.bias": tensor([16]),
    ]
    try checkpoint.write(to: directory.appending("in"))
    try quantize(directory.appending("in"), to: directory.appending("out"), recipe: .bits16)
    let quantized = try QuantizedCheckpoint(directory: directory.appending("out"))
    let up = try #require(quantized.tensors.values.first { $0.name.contains("c_fc.weight") })
    #expect(up.shape == [64, 16])
    let stored = try #require(checkpoint.tensors["h.0.mlp.c_fc.weight"]?.values)
    let floats = try #require(try weights(directory.appending("out"))[up.name])
    for row in 0..<64 {
      for column in 0..<16 { #expect(floats[row * 16 + column] == stored[column * 64 + row]) }
    }
    checkpoint.tensors["h.0.mlp.c_fc.weight"]?.values[3 * 64 + 9] = .nan
    try checkpoint.write(to: directory.appending("nan"))
    #expect(
      faultCode { try quantize(directory.appending("nan"), to: directory.appending("out2")) }
        == "preparation.notFinite")
  }

  /// Every model of the larger reference set can be quantized in every width.
  @Test func referenceModelsAreQuantized() throws {
    let directory = try TemporaryDirectory()
    let limits: [String: Double] = ["q4": 0.08, "q8": 0.008]
    var count = 0
    for part in ["models", "trained"] {
      for source in Places.referenceDirectories(part) {
        for recipe in [Recipe.bits4, .bits8, .bits16] {
          let target = directory.appending("\(Directory.name(of: source))-\(recipe.name)")
          let report = try quantize(source, to: target, recipe: recipe)
          let limit = limits[recipe.name] ?? 0
          for entry in report.entries {
            #expect(entry.relativeError <= limit, "\(source) \(entry.name)")
          }
          try Directory.remove(target)
        }
        count += 1
      }
    }
    if count > 0 { print("quantized \(count) reference models in three widths") }
  }
}
