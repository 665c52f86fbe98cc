import StrictJSON

/// Every model family, one line each.
public enum ArchitectureRegistry {
  public static let all: [any ModelArchitecture.Type] = [
    Llama.self,
    Qwen.self,
    Gemma.self,
    GPT2.self,
    GPTJ.self,
    GPTNeoX.self,
    Phi.self,
    Phi3.self,
    StableLM.self,
    Mixtral.self,
  ]

  /// The architecture that a config.json describes.
  ///
  /// - Parameter configuration: config.json of a checkpoint, quantized by us or not.
  /// - Throws: `ArchitectureFault` for an unknown family, code of its own (`auto_map`), weights
  ///   another tool has quantized, a task other than language modelling, or any value that
  ///   the family's forward pass does not honour.
  public static func architecture(
    for configuration: JSONObject
  ) throws(ArchitectureFault) -> any ModelArchitecture {
    let reader = ConfigurationReader(configuration)
    let modelType = try reader.string("model_type")
    guard let family = all.first(where: { $0.modelTypes.contains(modelType) }) else {
      let known = all.flatMap { $0.modelTypes }.sorted().joined(separator: ", ")
      throw .configuration(
        "model_type",
        "is \(Excerpt.quoted(modelType)), which is not supported (supported: \(known))")
    }
    try refuseForeignKeys(reader)
    let architecture = try family.init(configuration: reader)
    try check(architecture.dimensions)
    try refuseContradictions(reader, architecture)
    return architecture
  }

  static let maximumLayerCount = 10_000

  private static func refuseForeignKeys(_ reader: ConfigurationReader) throws(ArchitectureFault) {
    if reader.has("auto_map") {
      throw .configuration(
        "auto_map", "asks to run code from the checkpoint, which is never done")
    }
    if let quantization = reader.value("quantization_config") {
      if let advice = ForeignQuantization.advice(quantization) {
        throw .configuration("quantization_config", "says that \(advice)")
      }
    }
    if let names = try reader.strings("architectures") {
      guard names.isEmpty || names.contains(where: isLanguageModel) else {
        throw .configuration(
          "architectures",
          "is \(Excerpt.quoted(names.joined(separator: ", "))), which is no language model head")
      }
    }
    try reader.require("is_causal", is: true)
    try reader.require("use_bidirectional_attention", is: false)
    try reader.require("is_encoder_decoder", is: false)
    try reader.require("add_cross_attention", is: false)
  }

  /// Refuses keys of other families that ask for something else than this family computes.
  private static func refuseContradictions(
    _ reader: ConfigurationReader, _ architecture: any ModelArchitecture
  ) throws(ArchitectureFault) {
    let d = architecture.dimensions
    let rotary = architecture.rotaryEmbeddings.map(\.dimensions)
    let nested = try reader.object("rope_parameters")?.number("partial_rotary_factor")
    let share = try reader.number("partial_rotary_factor")
    if let share = share ?? nested, !rotary.isEmpty {
      let asked = Double(d.headDimension) * share
      guard asked >= 0, asked < 1_048_576, rotary.allSatisfy({ $0 == Int(asked) }) else {
        throw .configuration(
          "partial_rotary_factor",
          "is \(share), but \(rotary[0]) of \(d.headDimension) channels "
            + "of a head rotate in this family")
      }
    }
    guard reader.has("layer_types") else { return }
    let slides = (0..<d.layerCount).map { architecture.keyValueShape(layer: $0).window != nil }
    let windows = try reader.layerWindows(layerCount: d.layerCount, window: 1) { _ in false }
    guard windows.map({ $0 != nil }) == slides else {
      throw .configuration("layer_types", "does not say which layers slide in this family")
    }
  }

  private static func isLanguageModel(_ name: String) -> Bool {
    name.hasSuffix("ForCausalLM") || name.hasSuffix("LMHeadModel")
      || name.hasSuffix("ForConditionalGeneration")
  }

  /// Bounds that keep every later product within 64 bits and every loop short.
  private static func check(_ d: ModelDimensions) throws(ArchitectureFault) {
    let limits: [(String, Int, Int)] = [
      ("vocabulary size", d.vocabularySize, 1 << 24), ("hidden size", d.hiddenSize, 1 << 20),
      ("number of layers", d.layerCount, maximumLayerCount),
      ("number of heads", d.headCount, 1 << 16),
      ("number of key-value heads", d.keyValueHeadCount, 1 << 16),
      ("head dimension", d.headDimension, 1024),
      ("intermediate size", d.intermediateSize, 1 << 22),
      ("maximum position", d.contextLength, 1 << 26),
    ]
    for (name, value, limit) in limits where !(1...limit).contains(value) {
      throw ArchitectureFault(
        code: "configuration",
        message: "config.json: the \(name) is \(value); expected 1 to \(limit)")
    }
    guard d.headCount % d.keyValueHeadCount == 0 else {
      throw ArchitectureFault(
        code: "configuration",
        message: "config.json: \(d.headCount) heads cannot share \(d.keyValueHeadCount) "
          + "key-value heads evenly")
    }
  }
}
