import StrictJSON
import TensorCore

extension ShardPlan {
  public static let schema = "shardtool.plan/1"

  /// The plan as JSON, of integers and strings only, so that it means the same everywhere.
  public var json: JSONValue {
    [
      "schema": .string(Self.schema),
      "model": [
        "family": .string(facts.family),
        "layers": JSONValue(facts.layerCount),
        "hidden_size": JSONValue(facts.hiddenSize),
        "vocabulary_size": JSONValue(facts.vocabularySize),
        "context_length": JSONValue(facts.contextLength),
      ],
      "settings": [
        "context": JSONValue(settings.context),
        "sequences": JSONValue(settings.sequences),
        "prefill_chunk": JSONValue(settings.prefillChunk),
        "threads": JSONValue(settings.threads),
      ],
      "objective": .string(objective.rawValue),
      "nodes": .array(nodes.map(Self.json)),
      "prediction": [
        "prompt_tokens": JSONValue(prediction.workload.promptTokens),
        "generate_tokens": JSONValue(prediction.workload.generateTokens),
        "token_nanoseconds": JSONValue(prediction.tokenNanoseconds),
        "first_token_nanoseconds": JSONValue(prediction.firstTokenNanoseconds),
        "bottleneck_nanoseconds": JSONValue(prediction.bottleneckNanoseconds),
      ],
    ]
  }

  private static func json(_ node: PlannedNode) -> JSONValue {
    var roles: [JSONValue] = []
    if node.holdsEmbedding { roles.append(.string(NodeRole.embedding.rawValue)) }
    if node.holdsHead { roles.append(.string(NodeRole.head.rawValue)) }
    var bytes = JSONObject()
    for entry in node.ledger.entries { bytes[entry.kind.rawValue] = JSONValue(entry.bytes) }
    return [
      "name": .string(node.name),
      "first_layer": JSONValue(node.layers.lowerBound),
      "layer_count": JSONValue(node.layers.count),
      "roles": .array(roles),
      "ledger": [
        "ram_bytes": JSONValue(node.ledger.ramBytes),
        "reserve_bytes": JSONValue(node.ledger.reserveBytes),
        "bytes": .object(bytes),
      ],
      "predicted": .object(node.predicted.json),
    ]
  }

  /// Reads a plan and proves it again.
  ///
  /// - Parameter source: the file, for error sentences.
  /// Throws: `PlanFault` for unknown or missing keys, values out of range, gaps, overlaps.
  public init(json value: JSONValue, source: String = "the plan") throws(PlanFault) {
    var root = try StrictObject(value, place: "", source: source)
    try root.schema(Self.schema)
    let facts = try Self.facts(try root.nested("model"))
    let settings = try Self.settings(try root.nested("settings"))
    let objectiveName = try root.string("objective")
    guard let objective = PlanObjective(rawValue: objectiveName) else {
      throw root.fault("objective", "is \"\(objectiveName.prefix(40))\", which is unknown")
    }
    var nodes: [PlannedNode] = []
    for (index, element) in try root.array("nodes", limit: Cluster.maximumNodeCount).enumerated() {
      let object = try StrictObject(element, place: "nodes[\(index)]", source: source)
      nodes.append(try Self.node(object))
    }
    let prediction = try Self.prediction(try root.nested("prediction"))
    try root.finish()
    do throws(PlanFault) {
      try self.init(
        facts: facts, settings: settings, objective: objective, nodes: nodes,
        prediction: prediction)
    } catch {
      var context = error.context
      context["file"] = source
      throw PlanFault(
        code: error.code, message: "\(source): \(error.message)", exitStatus: error.exitStatus,
        context: context)
    }
  }

  /// Most layers that a model is believed to have.
  static let maximumLayerCount = Planner.maximumLayerCount
  private static let timeRange = 0...(1 << 53)

  private static func facts(_ members: StrictObject) throws(PlanFault) -> ModelFacts {
    var object = members
    let facts = ModelFacts(
      family: try object.string("family"),
      layerCount: try object.int("layers", in: 1...maximumLayerCount),
      hiddenSize: try object.int("hidden_size", in: 1...(1 << 24)),
      vocabularySize: try object.int("vocabulary_size", in: 1...(1 << 28)),
      contextLength: try object.int("context_length", in: 1...(1 << 40)))
    try object.finish()
    return facts
  }

  private static func settings(_ members: StrictObject) throws(PlanFault) -> PlanSettings {
    var object = members
    let settings = PlanSettings(
      context: try object.int("context", in: 1...PlanSettings.maximumContext),
      sequences: try object.int("sequences", in: 1...PlanSettings.maximumSequences),
      prefillChunk: try object.int("prefill_chunk", in: 1...PlanSettings.maximumPrefillChunk),
      threads: try object.int("threads", in: 1...PlanSettings.maximumThreads))
    try object.finish()
    return settings
  }

  private static func node(_ members: StrictObject) throws(PlanFault) -> PlannedNode {
    var object = members
    let name = try object.nodeName("name")
    let first = try object.int("first_layer", in: 0...maximumLayerCount)
    let count = try object.int("layer_count", in: 0...maximumLayerCount)
    var roles: Set<NodeRole> = []
    for element in try object.array("roles", limit: NodeRole.allCases.count) {
      guard let text = element.string, let role = NodeRole(rawValue: text),
        roles.insert(role).inserted
      else { throw object.fault("roles", "may hold \"embedding\" and \"head\", each once") }
    }
    let ledger = try ledger(try object.nested("ledger"))
    var predicted = try object.nested("predicted")
    let prediction = StagePrediction(
      decodeNanoseconds: try predicted.int("decode_nanoseconds", in: timeRange),
      prefillNanoseconds: try predicted.int("prefill_nanoseconds", in: timeRange),
      sendNanoseconds: try predicted.int("send_nanoseconds", in: timeRange))
    try predicted.finish()
    try object.finish()
    return PlannedNode(
      name: name, layers: first..<(first + count), holdsEmbedding: roles.contains(.embedding),
      holdsHead: roles.contains(.head), ledger: ledger, predicted: prediction)
  }

  private static func ledger(_ members: StrictObject) throws(PlanFault) -> MemoryLedger {
    var object = members
    let ram = try object.int("ram_bytes", in: 1...NodeProfile.maximumRAMBytes)
    let reserve = try object.int("reserve_bytes", in: 0...ram)
    var bytes = try object.nested("bytes")
    var entries: [MemoryLedger.Entry] = []
    for kind in LedgerKind.allCases {
      guard bytes.optional(kind.rawValue) != nil else { continue }
      let count = try bytes.int(kind.rawValue, in: 1...NodeProfile.maximumRAMBytes)
      entries.append(.init(kind: kind, bytes: count))
    }
    try bytes.finish()
    try object.finish()
    return MemoryLedger(entries: entries, ramBytes: ram, reserveBytes: reserve)
  }

  private static func prediction(_ members: StrictObject) throws(PlanFault) -> PlanPrediction {
    var object = members
    let tokens = 1...PlanSettings.maximumContext
    let prediction = PlanPrediction(
      workload: Workload(
        promptTokens: try object.int("prompt_tokens", in: tokens),
        generateTokens: try object.int("generate_tokens", in: tokens)),
      tokenNanoseconds: try object.int("token_nanoseconds", in: timeRange),
      firstTokenNanoseconds: try object.int("first_token_nanoseconds", in: timeRange),
      bottleneckNanoseconds: try object.int("bottleneck_nanoseconds", in: timeRange))
    try object.finish()
    return prediction
  }

  /// Writes the plan file whole or not at all, and the directories above it.
  public func write(to path: String) throws(FileFault) {
    try Directory.create(Directory.parent(of: path))
    try Directory.writeAtomically(Array(json.serialized(.pretty).utf8), to: path)
  }

  /// Reads a plan file.
  public static func read(from path: String) throws -> ShardPlan {
    try ShardPlan(json: try PlanFile.read(path), source: path)
  }
}

/// Small JSON files of this module.
enum PlanFile {
  static let byteLimit = 4 << 20

  /// Reads and parses a file.
  static func read(_ path: String) throws -> JSONValue {
    let bytes = try InputFile.contents(of: path, limit: byteLimit)
    do {
      return try JSONParsing().parse(bytes)
    } catch {
      throw PlanFault.badData(
        "notJSON", "not JSON at byte \(error.offset): \(error.message)", source: path)
    }
  }
}

extension StagePrediction {
  var json: JSONObject {
    [
      "decode_nanoseconds": JSONValue(decodeNanoseconds),
      "prefill_nanoseconds": JSONValue(prefillNanoseconds),
      "send_nanoseconds": JSONValue(sendNanoseconds),
    ]
  }
}
