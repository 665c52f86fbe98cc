import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// What keeps a node running and seen: its log, its status, its end.
extension EndToEnd {
  @Suite struct Operations {
    private func node(
      _ directory: String, _ options: [String] = []
    ) throws -> (program: RunningProgram, address: String) {
      let program = try RunningProgram(
        "shardrun", ["node", ".", "--listen", "127.0.0.1:0", "--json"] + options, in: directory)
      try #require(
        RunningProgram.wait(seconds: 20) { program.output.hasSuffix("\n") || !program.isRunning })
      let json = try JSONParsing().parse(program.output)
      return (program, try #require(json["listen"]?.string, "\(program.errors)"))
    }

    /// Lines of a log, each of them an object by its schema.
    private func events(_ program: RunningProgram) throws -> [JSONValue] {
      try program.errors.split(separator: "\n").map { line in
        let object = try JSONParsing().parse(String(line))
        #expect(try violations(of: "shardrun.log", object) == [])
        return object
      }
    }

    @Test func statusIsShownBesideARun() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 16, split: [2, 2, 2])
      let nodes = try ["node-1", "node-2"].map { try node("\(bundle)/nodes/\($0)", ["-q"]) }
      let peers = "node-1=\(nodes[0].address),node-2=\(nodes[1].address)"
      func status(_ peers: String) throws -> (ProgramRun, [JSONValue]) {
        let run = try ProgramRun.run("shardrun", ["status", "--peers", peers, "--json"])
        let json = try JSONParsing().parse(run.output)
        #expect(try violations(of: "shardrun.status", json) == [], "\(run.output)")
        return (run, json["nodes"]?.array ?? [])
      }
      let idle = try status(peers)
      #expect(idle.0.status == 0 && idle.1.map { $0["activity"]?.string } == ["idle", "idle"])
      #expect(idle.1.map { $0["first_layer"]?.int } == [2, 4])
      #expect(idle.1[1]["head"] == .bool(true))
      let generating = try RunningProgram(
        "shardrun",
        [
          "generate", "\(bundle)/nodes/node-0", "--peers", peers, "--prompt", "Once upon a time",
          "--max-tokens", "480", "--ignore-eos",
        ], environment: ["SHARD_ISA": "reference"])
      try #require(RunningProgram.wait(seconds: 20) { generating.output.count > 20 })
      let busy = try status(peers)
      #expect(generating.isRunning, "the run was over too early to ask beside it")
      #expect(busy.1.allSatisfy { $0["activity"]?.string == "serving" })
      #expect(busy.1.allSatisfy { $0["coordinator"]?.string == "node-0" && $0["runs"]?.int == 1 })
      #expect(busy.1.allSatisfy { ($0["decode_seconds_per_token"]?.double ?? 0) > 0 })
      #expect(busy.1.allSatisfy { ($0["round_trip_seconds"]?.double ?? 0) > 0 })
      generating.send(SIGINT)
      _ = generating.finish(withinSeconds: 5)

      let (missing, rows) = try status(peers + ",node-7=127.0.0.1:1")
      #expect(missing.status == 69 && rows.count == 3)
      #expect(rows[2]["activity"]?.string == "unreachable")
      #expect(rows[2]["error"]?["message"]?.string?.contains("Connection refused") == true)
      let (mistaken, names) = try status("node-2=\(nodes[0].address)")
      #expect(mistaken.status == 64)
      #expect(names[0]["error"]?["code"]?.string == "runtime.wrongNode")
      let text = try ProgramRun.run("shardrun", ["status", "--peers", peers])
      #expect(text.output.contains("node-1") && text.output.contains("4-5, head"), "\(text.output)")
      #expect(try ProgramRun.run("shardrun", ["status"]).status == 64)
      #expect(nodes.allSatisfy { $0.program.isRunning })
    }

    @Test func logsHaveALineForEachEvent() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [3, 3])
      let server = try node("\(bundle)/nodes/node-1", ["--json-log"])
      let peers = ["--peers", "node-1=\(server.address)"]
      let generate = ["generate", "\(bundle)/nodes/node-0", "--prompt", "Once"] + peers
      _ = try shardrun(generate)
      let other = try models.bundle(bits: 4, split: [2, 4])
      let refused = try ProgramRun.run(
        "shardrun", ["generate", "\(other)/nodes/node-0", "--prompt", "Once"] + peers)
      #expect(refused.status == 65)
      server.program.send(SIGTERM)
      let end = try #require(server.program.finish(withinSeconds: 4))
      #expect(end.status == 0 && !end.bySignal)
      let events = try events(server.program)
      #expect(
        events.map { $0["event"]?.string } == [
          "node.listening", "coordinator.connected", "ring.joined", "run.over",
          "connection.refused", "node.ending", "node.ended",
        ])
      #expect(events.allSatisfy { $0["node"]?.string == "node-1" })
      #expect(events[4]["code"]?.string == "runtime.wrongBundle")
      #expect(events[4]["remote"]?.string?.hasPrefix("127.0.0.1:") == true)
    }

    /// SIGTERM in the middle of a prompt: the pass at work ends, and the coordinator hears why.
    @Test func aNodeThatEndsSaysSo() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 16, split: [3, 3])
      let server = try node("\(bundle)/nodes/node-1")
      let generating = try RunningProgram(
        "shardrun",
        [
          "generate", "\(bundle)/nodes/node-0", "--peers", "node-1=\(server.address)", "--prompt",
          "Once upon a time", "--max-tokens", "480", "--ignore-eos",
        ], environment: ["SHARD_ISA": "reference"])
      try #require(RunningProgram.wait(seconds: 20) { generating.output.count > 20 })
      server.program.send(SIGTERM)
      let end = try #require(server.program.finish(withinSeconds: 4))
      #expect(end.status == 0 && !end.bySignal)
      #expect(server.program.errors.contains("ending: finishing the pass at work"))
      #expect(
        RunningProgram.wait(seconds: 4) { generating.errors.contains("node-1") },
        "\(generating.errors)")
      generating.send(SIGINT)
      _ = generating.finish(withinSeconds: 5)
    }

    @Test func anAddressThatIsTakenIsNamed() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [3, 3])
      let first = try node("\(bundle)/nodes/node-1")
      let second = try ProgramRun.run(
        "shardrun", ["node", "\(bundle)/nodes/node-1", "--listen", first.address])
      #expect(second.status == 69 && second.errors.contains("\(first.address)"))
      #expect(second.errors.contains("already") && !second.errors.contains(":7070"))
      #expect(first.program.isRunning)
      // The advice names the port that it listens on.
      let third = try RunningProgram(
        "shardrun", ["node", "\(bundle)/nodes/node-1", "--listen", "127.0.0.1:0"])
      try #require(RunningProgram.wait(seconds: 20) { third.errors.contains("lets others in") })
      let port = try #require(
        third.errors.split(separator: " ").first { $0.hasPrefix("127.0.0.1:") }?.split(
          separator: ":"
        ).last.map { $0.filter(\.isNumber) })
      #expect(third.errors.contains("--listen 0.0.0.0:\(port) lets others in"))
    }
  }
}
