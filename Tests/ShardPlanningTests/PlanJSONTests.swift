import ShardPlanning
import StrictJSON
import TensorCore
import TestSupport
import Testing

@Suite("Plans as JSON")
struct PlanJSONTests {
  private static func plan() throws -> ShardPlan {
    let cluster = try Cluster(count: 3, ramBytes: 8 << 30)
    return try Planner(source: SyntheticModel.mistral7B, cluster: cluster)
      .plan(PlanRequest(settings: PlanSettings(context: 4096)))
  }

  @Test("a plan reads back equal in every style")
  func roundTrips() throws {
    for seed in UInt64(1)...300 {
      let test = try PlanCheckerTests.randomCase(seed: seed)
      guard let plan = try? Planner(source: test.model, cluster: test.cluster).plan(test.request)
      else { continue }
      for style in [JSONStyle.canonical, .pretty, .compact] {
        let text = plan.json.serialized(style)
        let read = try ShardPlan(json: JSONParsing().parse(text))
        #expect(read == plan, "seed \(seed)")
        #expect(read.json.serialized(style) == text, "seed \(seed)")
      }
    }
  }

  @Test("a plan holds integers and strings only")
  func holdsNoFloats() throws {
    func check(_ value: JSONValue) -> Bool {
      switch value {
      case .integer, .string: true
      case .array(let elements): elements.allSatisfy(check)
      case .object(let object): object.values.allSatisfy(check)
      case .null, .bool, .double: false
      }
    }
    #expect(check(try Self.plan().json))
  }

  /// Replaces the value at a path of keys and indices; nil removes it.
  private static func replace(
    _ value: JSONValue, _ path: ArraySlice<String>, by new: JSONValue?
  ) -> JSONValue {
    guard let key = path.first else { return new ?? .null }
    let rest = path.dropFirst()
    if var object = value.object {
      object[key] =
        rest.isEmpty ? new : object[key].map { replace($0, rest, by: new) } ?? new
      return .object(object)
    }
    if var array = value.array, let index = Int(key), array.indices.contains(index) {
      array[index] = replace(array[index], rest, by: new)
      return .array(array)
    }
    return value
  }

  private static let corruptions: [(String, JSONValue?)] = [
    ("schema", "shardtool.plan/2"), ("schema", nil), ("schema", 1),
    ("model", nil), ("model", []), ("model/layers", 33), ("model/layers", 31),
    ("model/layers", 0), ("model/layers", 32.0), ("model/layers", -32),
    ("model/layers", 9_000_000_000_000_000_000), ("model/hidden_size", 0),
    ("model/vocabulary_size", nil), ("model/family", 7), ("model/extra", 1),
    ("settings/context", 0), ("settings/context", 10_995_116_277_760),
    ("settings/sequences", -1), ("settings/prefill_chunk", 513), ("settings/prefill_chunk", nil),
    ("settings/threads", 0), ("settings/more", "x"), ("objective", "beauty"), ("objective", 3),
    ("nodes", []), ("nodes", "node-0"), ("nodes/0", 5), ("nodes/0/name", ""),
    ("nodes/0/name", "../etc"), ("nodes/0/name", "a/b"), ("nodes/0/name", ".hidden"),
    ("nodes/0/name", "node-1"), ("nodes/0/name", "n\u{e4}me"), ("nodes/0/name", nil),
    ("nodes/0/first_layer", 1), ("nodes/0/first_layer", -1), ("nodes/0/layer_count", 0),
    ("nodes/0/layer_count", 12), ("nodes/0/layer_count", 4096), ("nodes/1/first_layer", 10),
    ("nodes/1/first_layer", 12), ("nodes/2/layer_count", 9), ("nodes/0/roles", []),
    ("nodes/0/roles", ["embedding", "embedding"]), ("nodes/0/roles", ["embedding", "tail"]),
    ("nodes/0/roles", ["embedding", "head"]), ("nodes/1/roles", ["head"]),
    ("nodes/1/roles", ["embedding"]), ("nodes/2/roles", []), ("nodes/0/roles", "embedding"),
    ("nodes/0/ledger", nil), ("nodes/0/ledger/ram_bytes", 0),
    ("nodes/0/ledger/ram_bytes", 1), ("nodes/0/ledger/ram_bytes", "8G"),
    ("nodes/0/ledger/reserve_bytes", -1), ("nodes/0/ledger/reserve_bytes", 9_663_676_416),
    ("nodes/0/ledger/bytes/weights", -5), ("nodes/0/ledger/bytes/weights", 0),
    ("nodes/0/ledger/bytes/weights", 8_000_000_000), ("nodes/0/ledger/bytes/magic", 5),
    ("nodes/0/ledger/total", 5), ("nodes/0/predicted/decode_nanoseconds", -1),
    ("nodes/0/predicted/send_nanoseconds", nil), ("nodes/0/predicted/more", 1),
    ("nodes/0/colour", "red"), ("prediction/prompt_tokens", 0),
    ("prediction/token_nanoseconds", 1.5), ("prediction/more", 1), ("prediction", nil),
    ("comment", "hello"),
  ]

  @Test("corrupt plans are refused in one sentence", arguments: corruptions.indices)
  func refusesCorruption(index: Int) throws {
    let (path, value) = Self.corruptions[index]
    let keys = path.split(separator: "/").map(String.init)
    let json = Self.replace(try Self.plan().json, keys[...], by: value)
    #expect(json != (try Self.plan().json), "\(path) changes nothing")
    do throws(PlanFault) {
      _ = try ShardPlan(json: json, source: "plan.json")
      Issue.record("\(path) = \(String(describing: value)) was accepted")
    } catch {
      #expect(error.exitStatus == .badData || error.exitStatus == .doesNotFit, "\(path)")
      #expect(!error.message.contains("\n") && error.message.count < 300, "\(path)")
    }
  }

  @Test("17 nodes are refused")
  func refusesTooManyNodes() throws {
    let plan = try Self.plan()
    let node = try #require(plan.json["nodes"]?.array?.first)
    let many = Self.replace(
      plan.json, ["nodes"], by: .array(Array(repeating: node, count: 17)))
    #expect(throws: PlanFault.self) { try ShardPlan(json: many) }
  }

  @Test("files: written whole, read back, refused with the file's name")
  func readsFiles() throws {
    let directory = try TemporaryDirectory()
    let plan = try Self.plan()
    let path = directory.appending("deep/er/plan.json")
    try plan.write(to: path)
    #expect(try ShardPlan.read(from: path) == plan)
    try plan.write(to: path)
    #expect(try Directory.names(in: directory.appending("deep/er")) == ["plan.json"])
    let broken = directory.appending("broken.json")
    try Directory.writeAtomically(Array("{\"schema\": NaN}".utf8), to: broken)
    do {
      _ = try ShardPlan.read(from: broken)
      Issue.record("accepted")
    } catch let fault as PlanFault {
      #expect(fault.code == "plan.notJSON" && fault.message.contains("broken.json"))
      #expect(fault.exitStatus == .badData)
    }
    #expect(throws: FileFault.self) { try ShardPlan.read(from: directory.appending("none")) }
  }

  @Test("names are looked up, unknown ones list what there is")
  func looksUpNames() throws {
    let plan = try Self.plan()
    #expect(try plan.node(named: "node-1").layers == 11..<22)
    #expect(plan.nodeNames == ["node-0", "node-1", "node-2"])
    #expect(plan.context == 4096 && plan.sequences == 1 && plan.prefillChunk == 128)
    #expect(throws: PlanFault.self) { try plan.node(named: "node-9") }
    let parts = plan.nodes.flatMap(\.components).map(\.name)
    #expect(parts.first == "embedding" && parts.last == "head" && parts.count == 34)
  }
}
