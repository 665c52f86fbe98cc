import Checkpoints
import ModelArchitectures
import Quantization
import ShardPreparation
import StrictJSON
import TensorCore
import TensorKernels
import TestSupport
import Testing

/// Models of all families to GGUF and back: the same weights, the same positions.
@Suite struct GGUFRoundTripTests {
  let place: TemporaryDirectory
  init() throws { place = try TemporaryDirectory() }

  private func export(_ source: String, _ type: GGUFExport.WeightType, to name: String) throws
    -> String
  {
    let path = place.appending(name)
    _ = try GGUFExport(source, type: type).run(to: path, pool: WorkerPool(threads: 2))
    return path
  }

  private func bringIn(_ file: String, to name: String) throws -> QuantizedCheckpoint {
    let directory = place.appending(name)
    _ = try GGUFImport(path: file).run(to: directory, pool: WorkerPool(threads: 2))
    return try QuantizedCheckpoint(directory: directory)
  }

  /// A copy of a fixture with other values in its config.json.
  private func edited(_ name: String, _ changes: [String: JSONValue]) throws -> String {
    let source = Places.fixture("families/\(name)")
    let target = place.appending("edited-\(name)")
    try Directory.create(target)
    var object = try #require(
      JSONParsing().parse(try InputFile.contents(of: "\(source)/config.json")).object)
    for (key, value) in changes { object[key] = value }
    try Directory.writeAtomically(
      Array(JSONValue.object(object).serialized(.pretty).utf8), to: "\(target)/config.json")
    for file in try Directory.names(in: source) where file.hasPrefix("model") {
      try Directory.writeAtomically(
        try InputFile.contents(of: "\(source)/\(file)"), to: "\(target)/\(file)")
    }
    return target
  }

  private func values(_ checkpoint: QuantizedCheckpoint, _ name: String) throws -> [Float] {
    let tensor = try #require(checkpoint.tensors[name])
    var floats = [Float](repeating: 0, count: tensor.elementCount)
    var span = floats.mutableSpan
    try checkpoint.readFloats(tensor, rows: 0..<tensor.rows, into: &span)
    return floats
  }

  static let families: [(name: String, changes: [String: JSONValue])] = [
    ("gemma", [:]), ("gemma2", ["query_pre_attn_scalar": 16]),
    ("gemma3", ["query_pre_attn_scalar": 16]), ("gpt-neox", [:]), ("gpt2", [:]), ("llama", [:]),
    ("llama-biases", [:]), ("llama-linear", [:]),
    (
      "llama-yarn",
      [
        "rope_parameters": [
          "rope_type": "yarn", "rope_theta": 50, "factor": 4,
          "original_max_position_embeddings": 32,
        ]
      ]
    ), ("llama3", [:]),
    ("mistral", [:]), ("mixtral", [:]), ("phi", [:]), ("phi3", [:]), ("phi3-longrope", [:]),
    ("qwen2", ["use_sliding_window": false]), ("qwen3", [:]), ("stablelm", [:]),
    ("stablelm-parallel", [:]),
  ]

  @Test(arguments: families.map(\.name))
  func weightsAndPositionsComeBack(_ name: String) throws {
    let changes = try #require(Self.families.first { $0.name == name }).changes
    let source = try edited(name, changes)
    try quantize(source, to: place.appending("original"), recipe: .bits16)
    let original = try QuantizedCheckpoint(directory: place.appending("original"))
    let file = try export(source, .keep, to: "model.gguf")
    let found = try bringIn(file, to: "imported")
    #expect(Set(found.tensors.keys) == Set(original.tensors.keys))
    for tensor in original.tensors.keys.sorted() {
      let expected = try values(original, tensor)
      let result = try values(found, tensor)
      // Norms of Gemma travel as 1 + w.
      let isShifted = name.hasPrefix("gemma") && tensor.contains("norm")
      #expect(
        zip(expected, result).allSatisfy { isShifted ? abs($0 - $1) <= 2e-7 : $0 == $1 },
        "\(tensor)")
    }
    let ours = try ArchitectureRegistry.architecture(for: original.configuration)
    let theirs = try ArchitectureRegistry.architecture(for: found.configuration)
    try expectSamePositions(ours, theirs, isWindowed: name == "mistral" || name == "phi3")
  }

  private func expectSamePositions(
    _ ours: any ModelArchitecture, _ theirs: any ModelArchitecture, isWindowed: Bool
  ) throws {
    var expected = ours.dimensions
    if isWindowed { expected.contextLength = ours.keyValueShape(layer: 0).window ?? 0 }
    #expect(theirs.dimensions == expected)
    #expect(type(of: ours) == type(of: theirs))
    #expect(ours.rotaryEmbeddings.count == theirs.rotaryEmbeddings.count)
    for (mine, other) in zip(ours.rotaryEmbeddings, theirs.rotaryEmbeddings) {
      for positions in [16, expected.contextLength] {
        let (a, factor) = mine.frequencies(positions: positions)
        let (b, otherFactor) = other.frequencies(positions: positions)
        #expect(a.count == b.count && abs(factor - otherFactor) <= 1e-6 * factor)
        #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 1e-6 * abs($0) })
      }
    }
    for layer in 0..<expected.layerCount where !isWindowed {
      #expect(ours.keyValueShape(layer: layer) == theirs.keyValueShape(layer: layer))
    }
  }

  /// What llama.cpp has no graph for is refused before a byte is written.
  @Test(arguments: [
    "gptj", "gpt2-scaled", "gemma2", "gemma3", "gpt-neox-sequential", "llama-yarn",
  ])
  func whatLlamaCppCannotRunIsRefused(_ name: String) throws {
    let source = Places.fixture("families/\(name)")
    let fault = try #require(throws: PreparationFault.self) {
      try GGUFExport(source, type: .f16)
    }
    #expect(fault.code == "preparation.noGraph", "\(fault.message)")
    #expect(fault.message.contains(source) && fault.message.contains("llama.cpp"))
  }

  private static let types: [GGUFExport.WeightType] = [.q8_0, .q4_0, .q4_k, .q6_k]

  /// Import keeps blocks, so that a second export writes the same bytes.
  @Test(arguments: types)
  func blocksComeBackAsTheyWere(_ type: GGUFExport.WeightType) throws {
    let first = try GGUFFile(path: try export(Places.fixture("tiny-fable"), type, to: "a.gguf"))
    let imported = try bringIn(first.path, to: "imported")
    let names = Set(imported.tensors.values.map(\.scheme.name))
    #expect(names.contains(type.rawValue), "\(names)")
    let second = try GGUFFile(path: try export(imported.directory, .keep, to: "b.gguf"))
    #expect(first.tensors.map(\.name) == second.tensors.map(\.name))
    for (a, b) in zip(first.tensors, second.tensors) {
      #expect(a.type == b.type && a.shape == b.shape, "\(a.name)")
      #expect(
        try first.bytes(of: a, 0..<a.byteCount) == second.bytes(of: b, 0..<b.byteCount), "\(a.name)"
      )
    }
    for key in first.header.keys where key.hasPrefix("llama.") || key.hasPrefix("tokenizer.") {
      #expect(first[key] == second[key], "\(key)")
    }
  }

  /// The same bytes with any number of threads and at any time.
  @Test func exportIsReproducible() throws {
    let source = Places.fixture("tiny-fable")
    var all: [[UInt8]] = []
    for threads in [1, 2, 3] {
      let path = place.appending("\(threads).gguf")
      _ = try GGUFExport(source, type: .q4_k).run(to: path, pool: WorkerPool(threads: threads))
      all.append(try InputFile.contents(of: path))
    }
    #expect(all[0] == all[1] && all[0] == all[2])
  }

  @Test func ourOwnSchemesAreNotKept() throws {
    try quantize(Places.fixture("tiny-fable"), to: place.appending("q4"))
    let fault = try #require(throws: PreparationFault.self) {
      try GGUFExport(place.appending("q4"), type: .keep)
    }
    #expect(fault.code == "preparation.noSuchType")
    let file = try GGUFFile(path: try export(place.appending("q4"), .q8_0, to: "q8.gguf"))
    #expect(file.tensors.contains { $0.type == .q8_0 })
  }
}
