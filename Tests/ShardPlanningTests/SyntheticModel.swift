import ShardPlanning
import TestSupport

/// A model of given numbers, so that the planner can be tested without a checkpoint.
struct SyntheticModel: FootprintSource {
  var facts: ModelFacts
  var embedding: ComponentFootprint
  /// Per layer, with `keyValueBytes` for one position of one sequence.
  var layers: [ComponentFootprint]
  var head: ComponentFootprint
  var sharedBytes = 0
  var tokenizerBytes = 1 << 20
  var activationBytesPerToken = 4096
  var headActivationBytes = 1 << 20
  var loadBufferBytes = 24 << 20
  var runtimeBytes = 16 << 20

  func footprint(for settings: PlanSettings) -> ModelFootprint {
    let scaled = layers.map { layer in
      var layer = layer
      let positions = min(settings.context, layer.window ?? settings.context)
      layer.keyValueBytes *= positions * settings.sequences
      return layer
    }
    return ModelFootprint(
      facts: facts, settings: settings, embedding: embedding, layers: scaled, head: head,
      sharedBytes: sharedBytes, tokenizerBytes: tokenizerBytes,
      activationBytes: activationBytesPerToken * settings.prefillChunk * settings.sequences,
      headActivationBytes: headActivationBytes, loadBufferBytes: loadBufferBytes,
      runtimeBytes: runtimeBytes)
  }

  /// A model of equal layers.
  init(
    layerCount: Int, layerBytes: Int, headBytes: Int, embeddingBytes: Int = 64 << 20,
    keyValueBytesPerPosition: Int = 4096, contextLength: Int = 32_768, hiddenSize: Int = 4096
  ) {
    facts = ModelFacts(
      family: "synthetic", layerCount: layerCount, hiddenSize: hiddenSize, vocabularySize: 32_000,
      contextLength: contextLength)
    embedding = ComponentFootprint(weightBytes: embeddingBytes)
    layers = Array(
      repeating: ComponentFootprint(
        weightBytes: layerBytes, keyValueBytes: keyValueBytesPerPosition,
        readBytes: ["q4": layerBytes], keyValueReadBytesPerPosition: keyValueBytesPerPosition,
        operations: layerBytes * 2, operationsPerPosition: 2 * hiddenSize), count: layerCount)
    head = ComponentFootprint(
      weightBytes: headBytes, readBytes: ["q8": headBytes], operations: headBytes)
  }

  /// The shape of Mistral 7B in 4.5 bits.
  static let mistral7B = SyntheticModel(
    layerCount: 32, layerBytes: 123_000_000, headBytes: 139_000_000, embeddingBytes: 139_000_000)

  /// A model of random size, its layers equal or not.
  static func random(
    layerCount: Int, unequal: Bool, using generator: inout SeededGenerator
  ) -> SyntheticModel {
    let layerBytes = Int.random(in: 20...300, using: &generator) << 20
    var model = SyntheticModel(
      layerCount: layerCount, layerBytes: layerBytes,
      headBytes: Int.random(in: 10...700, using: &generator) << 20,
      embeddingBytes: Int.random(in: 10...300, using: &generator) << 20,
      keyValueBytesPerPosition: Int.random(in: 1...32, using: &generator) * 512,
      hiddenSize: Int.random(in: 4...64, using: &generator) * 128)
    model.loadBufferBytes = Int.random(in: 0...200, using: &generator) << 20
    if Bool.random(using: &generator) {
      model.sharedBytes = min(model.embedding.weightBytes, model.head.weightBytes)
    }
    guard unequal else { return model }
    for index in model.layers.indices {
      let bytes = Int.random(in: 10...400, using: &generator) << 20
      model.layers[index].weightBytes = bytes
      model.layers[index].readBytes = Bool.random(using: &generator) ? ["q4": bytes] : ["q8": bytes]
      model.layers[index].operations = bytes * Int.random(in: 1...2, using: &generator)
      if Bool.random(using: &generator) { model.layers[index].window = 512 }
    }
    return model
  }
}

extension Cluster {
  /// Machines of random memory and speed, some of them alike, with links of random quality.
  static func random(
    nodes count: Int, memory: ClosedRange<Int>, allTakePart: Bool,
    using generator: inout SeededGenerator
  ) throws -> Cluster {
    var nodes: [NodeProfile] = []
    for index in 0..<count {
      if index > 1, Int.random(in: 0..<4, using: &generator) == 0 {
        var twin = nodes[index - 1]
        twin.name = "node-\(index)"
        nodes.append(twin)
        continue
      }
      let speed = Int.random(in: 5...42, using: &generator) * 1_000_000_000
      nodes.append(
        NodeProfile(
          name: "node-\(index)", ramBytes: Int.random(in: memory, using: &generator) << 20,
          reserveBytes: Int.random(in: 0...200, using: &generator) << 20,
          vramBytes: Bool.random(using: &generator)
            ? Int.random(in: 300...2000, using: &generator) << 20 : 0,
          compute: ComputeProfile(
            weightBytesPerSecond: speed,
            weightBytesPerSecondByScheme: Bool.random(using: &generator)
              ? ["q8": speed / 2] : [:],
            operationsPerSecond: Int.random(in: 20...200, using: &generator) * 1_000_000_000,
            layerNanoseconds: Int.random(in: 0...200_000, using: &generator),
            passNanoseconds: Int.random(in: 0...500_000, using: &generator)),
          accelerator: ComputeProfile(
            weightBytesPerSecond: Int.random(in: 45...110, using: &generator) * 1_000_000_000,
            operationsPerSecond: 500_000_000_000, layerNanoseconds: 50_000,
            passNanoseconds: 200_000)))
    }
    var links: [(from: String, to: String, link: LinkProfile)] = []
    if Bool.random(using: &generator) {
      for source in 0..<count {
        for target in 0..<count where source != target && Bool.random(using: &generator) {
          links.append(
            (
              "node-\(source)", "node-\(target)",
              LinkProfile(
                roundTripNanoseconds: Int.random(in: 50...12_000, using: &generator) * 1000,
                bytesPerSecond: Int.random(in: 2...120, using: &generator) * 1_000_000)
            ))
        }
      }
    }
    return try Cluster(nodes: nodes, links: links, allTakePart: allTakePart)
  }
}
