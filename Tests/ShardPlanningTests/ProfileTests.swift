import ShardPlanning
import StrictJSON
import TensorCore
import TestSupport
import Testing

@Suite("Node profiles and clusters")
struct ProfileTests {
  private static func cluster(_ text: String) throws -> Cluster {
    try Cluster(json: JSONParsing().parse(text), source: "nodes.json") { name in
      throw FileFault(
        code: "file.missing", message: "no \(name)", exitStatus: .noInput, path: name)
    }
  }

  @Test("a list of unequal machines with links of their own")
  func readsClusters() throws {
    let cluster = try Self.cluster(
      """
      {"schema": "shardtool.nodes/1", "link": {"round_trip": "300us", "rate": "1Gbit/s"},
       "nodes": [
         {"name": "desk", "ram": "16G", "reserve": "3G",
          "compute": {"preset": "core-i5-laptop", "weight_rate": "30GB/s",
                      "weight_rate_by_scheme": {"q8": 26000000000}, "layer_time": "20us",
                      "pass_time": 5000, "operation_rate": 120000000000}},
         {"name": "attic", "ram": 8589934592, "vram": "2G",
          "accelerator": {"preset": "small-laptop-gpu"}}],
       "links": [{"from": "desk", "to": "attic", "round_trip": "6ms", "rate": "12MB/s"}]}
      """)
    #expect(cluster.nodes[0].ramBytes == 16 << 30)
    #expect(cluster.nodes[0].reserveBytes == 3 << 30)
    #expect(cluster.nodes[0].compute.weightBytesPerSecond == 30_000_000_000)
    #expect(cluster.nodes[0].compute.weightBytesPerSecondByScheme == ["q8": 26_000_000_000])
    #expect(cluster.nodes[0].compute.layerNanoseconds == 20_000)
    #expect(cluster.nodes[0].compute.passNanoseconds == 5000)
    #expect(cluster.nodes[1].reserveBytes == 2 << 30)
    #expect(cluster.nodes[1].vramBytes == 2 << 30)
    #expect(!cluster.allTakePart)
    let slow = LinkProfile(roundTripNanoseconds: 6_000_000, bytesPerSecond: 12_000_000)
    #expect(cluster.link(from: 0, to: 1) == slow)
    #expect(cluster.link(from: 1, to: 0) == slow)
    #expect(cluster.defaultLink.bytesPerSecond == 125_000_000)
    let read = try Self.cluster(cluster.json.serialized(.pretty))
    #expect(read.json == cluster.json)
    #expect(read.nodes == cluster.nodes)
  }

  private static let nonsense = [
    "[]", "{}", "{\"schema\": \"shardtool.nodes/2\", \"nodes\": []}",
    "{\"schema\": \"shardtool.nodes/1\"}", "{\"schema\": \"shardtool.nodes/1\", \"nodes\": []}",
    "{\"schema\": \"shardtool.nodes/1\", \"nodes\": {}}",
    nodes("{\"name\": \"a\"}"), nodes("{\"name\": \"a\", \"ram\": 0}"),
    nodes("{\"name\": \"a\", \"ram\": -8589934592}"), nodes("{\"name\": \"a\", \"ram\": \"-8G\"}"),
    nodes("{\"name\": \"a\", \"ram\": \"NaN\"}"), nodes("{\"name\": \"a\", \"ram\": 8.5}"),
    nodes("{\"name\": \"a\", \"ram\": \"8000T\"}"), nodes("{\"name\": \"a\", \"ram\": null}"),
    nodes("{\"name\": \"a\", \"ram\": \"8G\", \"rom\": 1}"), nodes("{\"ram\": \"8G\"}"),
    nodes("{\"name\": \"a b\", \"ram\": \"8G\"}"), nodes("{\"name\": 5, \"ram\": \"8G\"}"),
    nodes("{\"name\": \"a\", \"ram\": \"8G\", \"reserve\": \"9G\"}"),
    nodes("{\"name\": \"a\", \"ram\": \"8G\", \"schema\": \"shardtool.node/9\"}"),
    nodes("{\"name\": \"a\", \"ram\": \"8G\", \"compute\": {\"preset\": \"cray\"}}"),
    nodes("{\"name\": \"a\", \"ram\": \"8G\", \"compute\": {\"weight_rate\": 0}}"),
    nodes("{\"name\": \"a\", \"ram\": \"8G\", \"compute\": {\"weight_rate\": \"nan\"}}"),
    nodes("{\"name\": \"a\", \"ram\": \"8G\", \"compute\": {\"layer_time\": \"-1us\"}}"),
    nodes("{\"name\": \"a\", \"ram\": \"8G\", \"compute\": {\"speed\": 3}}"),
    nodes("{\"name\": \"a\", \"ram\": \"8G\", \"compute\": 3}"),
    nodes("{\"name\": \"a\", \"ram\": \"8G\"}, {\"name\": \"a\", \"ram\": \"8G\"}"),
    nodes("{\"name\": \"a\", \"ram\": \"8G\"}", more: "\"link\": {\"rate\": \"1Gbit/s\"}"),
    nodes("{\"name\": \"a\", \"ram\": \"8G\"}", more: "\"link\": {\"round_trip\": \"1us\"}"),
    nodes(
      "{\"name\": \"a\", \"ram\": \"8G\"}",
      more: "\"links\": [{\"from\": \"a\", \"to\": \"b\", \"round_trip\": 1, \"rate\": 9999}]"),
    nodes("{\"name\": \"a\", \"ram\": \"8G\"}", more: "\"colour\": 1"),
    nodes((0..<17).map { "{\"name\": \"n\($0)\", \"ram\": \"8G\"}" }.joined(separator: ",")),
  ]

  private static func nodes(_ list: String, more: String? = nil) -> String {
    "{\"schema\": \"shardtool.nodes/1\", \"nodes\": [\(list)]"
      + (more.map { ", \($0)" } ?? "") + "}"
  }

  @Test("nonsense in a list of nodes is bad data, in one sentence", arguments: nonsense)
  func refusesNonsense(text: String) throws {
    do {
      _ = try Self.cluster(text)
      Issue.record("accepted: \(text)")
    } catch let fault as PlanFault {
      #expect(fault.exitStatus == .badData, "\(text)")
      #expect(fault.message.hasPrefix("nodes.json: ") && !fault.message.contains("\n"), "\(text)")
    }
  }

  @Test("profiles round-trip, in files of their own and named by a list")
  func readsProfileFiles() throws {
    let directory = try TemporaryDirectory()
    var profile = NodeProfile(name: "attic", ramBytes: 4 << 30, vramBytes: 1 << 30)
    profile.compute.weightBytesPerSecondByScheme = ["q4": 20_000_000_000]
    #expect(profile.reserveBytes == 1 << 30)
    #expect(try NodeProfile(json: profile.json, source: "x") == profile)
    try Directory.writeAtomically(
      Array(profile.json.serialized(.pretty).utf8), to: directory.appending("attic.json"))
    let list = directory.appending("nodes.json")
    let text =
      "{\"schema\": \"shardtool.nodes/1\", \"nodes\": [\"attic.json\", "
      + "{\"name\": \"desk\", \"ram\": \"8G\"}]}"
    try Directory.writeAtomically(Array(text.utf8), to: list)
    let cluster = try Cluster.read(from: list)
    #expect(cluster.nodes[0] == profile)
    #expect(cluster.nodes.map(\.name) == ["attic", "desk"])
    #expect(throws: (any Error).self) { try Cluster.read(from: directory.appending("no.json")) }
  }

  @Test("counts, memory and names out of range are wrong usage")
  func refusesWrongUsage() throws {
    let wrong: [() throws -> Cluster] = [
      { try Cluster(count: 0, ramBytes: 8 << 30) }, { try Cluster(count: -3, ramBytes: 8 << 30) },
      { try Cluster(count: 17, ramBytes: 8 << 30) }, { try Cluster(count: 3, ramBytes: 0) },
      { try Cluster(count: 3, ramBytes: -1) }, { try Cluster(count: 3, ramBytes: 1 << 60) },
      { try Cluster(count: 3, ramBytes: 1 << 30, reserveBytes: 2 << 30) },
      { try Cluster(count: 3, ramBytes: 1 << 30, reserveBytes: -1) },
      { try Cluster(count: 3, ramBytes: 1 << 30, vramBytes: -1) },
      { try Cluster(nodes: [], allTakePart: true) },
      { try Cluster(nodes: [NodeProfile(name: "../x", ramBytes: 1 << 30)], allTakePart: true) },
      {
        try Cluster(
          nodes: [
            NodeProfile(
              name: "a", ramBytes: 1 << 30,
              compute: ComputeProfile(
                weightBytesPerSecond: 0, operationsPerSecond: 1, layerNanoseconds: 0,
                passNanoseconds: 0))
          ], allTakePart: true)
      },
      {
        let node = NodeProfile(name: "a", ramBytes: 1 << 30)
        return try Cluster(
          nodes: [node], links: [("a", "a", .gigabitEthernet)], allTakePart: true)
      },
      {
        let nodes = ["a", "b"].map { NodeProfile(name: $0, ramBytes: 1 << 30) }
        return try Cluster(
          nodes: nodes, links: [("a", "b", .gigabitEthernet), ("a", "b", .gigabitEthernet)],
          allTakePart: true)
      },
    ]
    for make in wrong {
      do {
        _ = try make()
        Issue.record("accepted")
      } catch let fault as PlanFault {
        #expect(fault.exitStatus == .usage, "\(fault.message)")
      }
    }
    #expect(throws: Never.self) { try Cluster(count: 16, ramBytes: 8 << 30) }
  }

  @Test("links as the command line takes them")
  func readsLinks() throws {
    #expect(
      try LinkProfile(argument: "1Gbit/s,300us")
        == LinkProfile(roundTripNanoseconds: 300_000, bytesPerSecond: 125_000_000))
    for text in ["", "1Gbit/s", "fast,300us", "1Gbit/s,never", "1Gbit/s,300us,x", "0B/s,1us"] {
      #expect(throws: PlanFault.self, "\(text)") { try LinkProfile(argument: text) }
    }
    for rate in [1000, 49_999, 999_999, 1_000_000, 110_000_000, 1_000_000_000_000_000] {
      let link = LinkProfile(roundTripNanoseconds: 25_000, bytesPerSecond: rate)
      #expect(try LinkProfile(argument: link.argument) == link, "\(link.argument)")
    }
    #expect(LinkProfile.gigabitEthernet.nanoseconds(bytes: 0) == 150_000)
    let huge = LinkProfile(roundTripNanoseconds: 0, bytesPerSecond: 1000)
    #expect(huge.nanoseconds(bytes: 1 << 60) == 1 << 48)
  }
}
