import ModelArchitectures
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// The golden values see every peculiarity: a program without it would fail `GoldenModelTests`.
@Suite struct QuirkTests {
  /// How far a missing peculiarity has to move the values.
  static let visible = 20 * GoldenModelTests.bound

  @Test(arguments: QuirkTable.all) func goldenValuesSeeThatItIsMissing(quirk: Quirk) throws {
    let golden = try GoldenModel(quirk.directory)
    var checkpoint = try EditableCheckpoint(quirk.directory)
    try quirk.edit(&checkpoint)
    let ids = try golden.ints("input_ids")
    switch quirk.effect {
    case .movesLogits:
      let logits = try Self.logits(checkpoint, ids)
      #expect(largestDistance(logits, try golden.floats("logits")) > Self.visible)
    case .movesHidden(let layer):
      let hidden = try Self.run(checkpoint) { model in
        let chain = try model.load(split: Array(repeating: 1, count: try model.layerCount))
        return chain.run(ids).hidden[layer].flatMap { $0 }
      }
      let expected = try golden.floats("hidden.layer.\(layer)")
      #expect(largestDistance(hidden, expected) > Self.visible)
    case .movesShortLogits:
      let short = try golden.ints("short.input_ids")
      let logits = try Self.logits(checkpoint, short, context: short.count)
      #expect(largestDistance(logits, try golden.floats("short.logits")) > Self.visible)
    case .refuses:
      let fault = #expect(throws: (any Error).self) { try Self.logits(checkpoint, ids) }
      #expect((fault as? any Fault)?.exitStatus == .badData)
    case .changesNothing:
      let plain = try Self.logits(try EditableCheckpoint(quirk.directory), ids)
      #expect(try Self.logits(checkpoint, ids) == plain)
    }
  }

  /// A bias or norm weight that is not read would show nowhere else.
  @Test(arguments: GoldenModelTests.fixtures) func everyVectorMatters(directory: String) throws {
    let golden = try GoldenModel(directory)
    let checkpoint = try EditableCheckpoint(directory)
    let isGemma = checkpoint.configuration["model_type"]?.string?.hasPrefix("gemma") == true
    let ids = try golden.ints("input_ids")
    let expected = try golden.floats("logits")
    let vectors = checkpoint.tensors.filter { $0.value.shape.count == 1 }.keys
      .filter { !$0.hasSuffix("inv_freq") }
    for ending in Set(vectors.map(Self.withinLayer)).sorted() {
      var changed = checkpoint
      try changed.change(ending) { $0.fill(ending.hasSuffix("bias") || isGemma ? 0 : 1) }
      let distance = largestDistance(try Self.logits(changed, ids), expected)
      #expect(distance > Self.visible, "\(ending)")
    }
  }

  /// Numbers and names that every family has under some key.
  @Test(arguments: GoldenModelTests.fixtures) func everyFamilysKeysMatter(
    directory: String
  ) throws {
    let golden = try GoldenModel(directory)
    let checkpoint = try EditableCheckpoint(directory)
    let ids = try golden.ints("input_ids")
    let expected = try golden.floats("logits")
    var changes: [(String, EditableCheckpoint)] = []
    func change(_ key: String, _ value: JSONValue) {
      guard let old = checkpoint.configuration[key], !old.isNull else { return }
      var changed = checkpoint
      changed.configuration[key] = value
      changes.append((key, changed))
    }
    for key in ["rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"] { change(key, 1e-5) }
    for key in ["hidden_act", "hidden_activation", "activation_function"] {
      let isSiLU = checkpoint.configuration[key]?.string == "silu"
      change(key, isSiLU ? "gelu" : "silu")
    }
    for key in ["rope_theta", "rotary_emb_base"] { change(key, 7.0) }
    if checkpoint.configuration["rope_parameters"] != nil {
      var changed = checkpoint
      changed.changeRope([("rope_theta", 7)])
      changes.append(("rope_parameters", changed))
    }
    let isRotary = !["gpt2", "gptj"].contains(checkpoint.configuration["model_type"]?.string)
    #expect(changes.count == (isRotary ? 3 : 2))
    for (key, changed) in changes {
      let distance = largestDistance(try Self.logits(changed, ids), expected)
      #expect(distance > Self.visible, "\(key)")
    }
  }

  /// The erf and the tanh form of GELU differ by 5e-4 at most, and still the golden values tell.
  @Test(arguments: GoldenModelTests.fixtures) func formsOfGELUAreToldApart(
    directory: String
  ) throws {
    var checkpoint = try EditableCheckpoint(directory)
    let golden = try GoldenModel(directory)
    // Gemma 1 means the tanh form by either name.
    guard checkpoint.configuration["model_type"]?.string != "gemma" else { return }
    let other = ["gelu": "gelu_new", "gelu_new": "gelu", "gelu_pytorch_tanh": "gelu"]
    for key in ["hidden_act", "hidden_activation", "activation_function"] {
      guard let name = checkpoint.configuration[key]?.string, let form = other[name] else {
        continue
      }
      checkpoint.configuration[key] = .string(form)
      let logits = try Self.logits(checkpoint, try golden.ints("input_ids"))
      let distance = largestDistance(logits, try golden.floats("logits"))
      #expect(distance > 10 * GoldenModelTests.fixtureBound)
    }
  }

  /// The support table names what is tested, and all of it.
  @Test func theSupportTableNamesWhatIsTested() throws {
    var tested: [String: Set<String>] = [:]
    for quirk in QuirkTable.all {
      let configuration = try EditableCheckpoint(quirk.directory).configuration
      let type = try #require(configuration["model_type"]?.string)
      let family = ArchitectureRegistry.all.first { $0.modelTypes.contains(type) }
      tested[try #require(family).family, default: []].insert(quirk.name)
    }
    for family in ArchitectureRegistry.all {
      #expect(tested[family.family] == Set(family.quirks), "\(family.family)")
    }
  }

  @Test func everyModelTypeHasAFixture() throws {
    let types = try GoldenModelTests.fixtures.map {
      try EditableCheckpoint($0).configuration["model_type"]?.string ?? ""
    }
    #expect(Set(types) == Set(ArchitectureRegistry.all.flatMap { $0.modelTypes }))
  }

  // MARK: Running

  private static func run<Result>(
    _ checkpoint: EditableCheckpoint, _ body: (PreparedModel) throws -> Result
  ) throws -> Result {
    let directory = try TemporaryDirectory()
    try checkpoint.write(to: directory.appending("model"))
    return try body(try PreparedModel(directory.appending("model")))
  }

  @discardableResult
  private static func logits(
    _ checkpoint: EditableCheckpoint, _ ids: [Int32], context: Int = 256
  ) throws -> [Float] {
    try run(checkpoint) { model in
      try model.load(split: [try model.layerCount], context: context).run(ids).logits
        .flatMap { $0 }
    }
  }

  /// A name from behind the layer's number on; the whole name outside of layers.
  private static func withinLayer(_ name: String) -> String {
    let words = name.split(separator: ".")
    guard let place = words.firstIndex(where: { Int($0) != nil }) else { return name }
    return "." + words[(place + 1)...].joined(separator: ".")
  }
}
