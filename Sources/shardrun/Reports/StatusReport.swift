import CommandLineSupport
import ShardRuntime
import ShardTransport
import StrictJSON
import TensorCore

/// What nodes have said of themselves, for people and for programs.
struct StatusReport {
  struct Node {
    let name: String
    let address: HostPort
    let answer: Result<StatusQuery.Answer, any Error>

    var fault: (any Fault)? {
      guard case .failure(let error) = answer else { return nil }
      return error as? any Fault
        ?? RuntimeFault("internal", "no answer: \(error)", exitStatus: .bug)
    }
  }

  let nodes: [Node]

  /// The first reason why a node did not answer.
  var fault: (any Fault)? { nodes.lazy.compactMap(\.fault).first }

  private var statuses: [NodeStatus] { nodes.compactMap { try? $0.answer.get().status } }

  /// What keeps these nodes from making a ring together.
  var warnings: [String] {
    let bundles = Set(statuses.map(\.description.bundleID))
    guard bundles.count > 1 else { return [] }
    return ["they hold parts of \(bundles.count) different bundles; ship them the same one"]
  }

  var text: String {
    var table = TextTable([
      ("node", .left), ("does", .left), ("layers", .left), ("memory", .right), ("planned", .right),
      ("ms/token", .right), ("passes", .right), ("there and back", .right), ("up", .right),
    ])
    var reasons = ""
    for node in nodes {
      guard let answer = try? node.answer.get() else {
        table.add([node.name, "no answer"])
        reasons += "\(node.name): \(Program.singleLine(node.fault?.message ?? ""))\n"
        continue
      }
      let (status, numbers) = (answer.status, answer.status.statistics)
      let layers = status.description.layers
      table.add([
        node.name, Self.activity(status),
        "\(layers.lowerBound)-\(layers.upperBound - 1)" + (numbers.holdsHead ? ", head" : ""),
        Quantity.describe(bytes: status.residentBytes),
        numbers.ledgerBytes.map { Quantity.describe(bytes: $0) } ?? "",
        numbers.secondsPerDecodeStep.map { Quantity.fixed($0 * 1e3, digits: 3) } ?? "",
        "\(numbers.steps)", "\(Quantity.fixed(answer.roundTrip.inSeconds * 1e3, digits: 2)) ms",
        Self.time(status.uptimeSeconds),
      ])
    }
    return table.rendered() + reasons
  }

  /// What a node does, with the names that its coordinators have given themselves, and how many of
  /// its sequences they have.
  private static func activity(_ status: NodeStatus) -> String {
    guard let names = status.coordinator else { return status.activity.rawValue }
    let use = status.sequences > 1 ? " (\(status.sequencesInUse)/\(status.sequences))" : ""
    return "\(status.activity.rawValue) \(Program.singleLine(names))\(use)"
  }

  private static func time(_ seconds: Double) -> String {
    let seconds = Int(min(seconds, 1e12))
    switch seconds {
    case ..<120: return "\(seconds) s"
    case ..<7200: return "\(seconds / 60) min"
    case ..<172_800: return "\(seconds / 3600) h"
    default: return "\(seconds / 86_400) d"
    }
  }

  var json: JSONValue {
    [
      "schema": "shardrun.status/1",
      "nodes": .array(nodes.map { .object(Self.json($0)) }),
    ]
  }

  private static func json(_ node: Node) -> JSONObject {
    var object: JSONObject = ["name": .string(node.name), "address": .string("\(node.address)")]
    guard let answer = try? node.answer.get() else {
      object["activity"] = "unreachable"
      object["error"] = node.fault.map { fault in
        [
          "code": .string(fault.code), "message": .string(Program.singleLine(fault.message)),
          "exit_status": JSONValue(Int(fault.exitStatus.rawValue)),
        ]
      }
      return object
    }
    let (status, numbers) = (answer.status, answer.status.statistics)
    object["activity"] = .string(status.activity.rawValue)
    object["coordinator"] = status.coordinator.map { .string($0) } ?? .null
    object["bundle"] = .string(status.description.bundleID)
    object["first_layer"] = JSONValue(status.description.layers.lowerBound)
    object["layer_count"] = JSONValue(status.description.layers.count)
    object["embedding"] = .bool(numbers.holdsEmbedding)
    object["head"] = .bool(numbers.holdsHead)
    object["context"] = JSONValue(status.description.context)
    object["sequences"] = JSONValue(status.sequences)
    object["sequences_in_use"] = JSONValue(status.sequencesInUse)
    object["runs"] = JSONValue(status.runs)
    object["uptime_seconds"] = .double(status.uptimeSeconds)
    object["steps"] = JSONValue(numbers.steps)
    object["tokens"] = JSONValue(numbers.tokens)
    object["decode_seconds_per_token"] = .optional(numbers.secondsPerDecodeStep)
    object["prefill_seconds_per_token"] = .optional(numbers.secondsPerPrefillToken)
    object["resident_bytes"] = JSONValue(status.residentBytes)
    object["peak_resident_bytes"] = JSONValue(numbers.peakResidentBytes)
    object["ledger_bytes"] = numbers.ledgerBytes.map { JSONValue($0) } ?? .null
    object["round_trip_seconds"] = .double(answer.roundTrip.inSeconds)
    return object
  }
}
