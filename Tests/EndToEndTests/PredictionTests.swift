import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// Whether plans predict what is then measured, on this machine.
///
/// It takes minutes and a machine that does nothing else, so it runs only where the environment
/// variable SHARD_MEASURE is set; `make predictions` sets it.
extension EndToEnd {
  @Suite(
    .enabled(
      if: ProcessInfo.processInfo.environment["SHARD_MEASURE"] != nil,
      "SHARD_MEASURE is not set: needs a quiet machine"))
  struct Predictions {
    private let directory: TemporaryDirectory
    private static let (promptTokens, generateTokens) = (128, 48)
    private static let rounds = 3
    private static let tolerance = 0.15

    init() throws { directory = try TemporaryDirectory() }

    /// The running nodes behind relays, and how to reach them.
    private struct Ring {
      let programs: [RunningProgram]
      let relays: [DelayingRelay]
      let peers: String
    }

    private func tool(_ arguments: [String]) throws {
      let run = try ProgramRun.run("shardtool", arguments + ["--quiet"])
      try #require(run.status == 0, "shardtool \(arguments.joined(separator: " ")): \(run.errors)")
    }

    /// A model of 380 million weights: far more than caches hold.
    private func quantizedModel() throws -> String {
      let configuration = directory.appending("config.json")
      let text = """
        {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 2048,
        "intermediate_size": 5632, "num_hidden_layers": 8, "num_attention_heads": 16,
        "num_key_value_heads": 4, "vocab_size": 8000, "max_position_embeddings": 1024,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": false, "torch_dtype": "float16"}
        """
      try Directory.writeAtomically(Array(text.utf8), to: configuration)
      let model = directory.appending("model")
      let run = try ProgramRun.run(
        "shardbench", ["synth", "--config", configuration, "--output", model, "--quiet"])
      try #require(run.status == 0, "\(run.errors)")
      let quantized = directory.appending("quantized")
      try tool(["quantize", model, "--output", quantized])
      return quantized
    }

    /// A program that says on its first line where it listens.
    private func listening(_ arguments: [String]) throws -> (program: RunningProgram, port: Int) {
      let program = try RunningProgram("shardrun", arguments + ["--json", "--quiet"])
      try #require(
        RunningProgram.wait(seconds: 60) { program.output.hasSuffix("\n") }, "\(program.errors)")
      let address = try JSONParsing().parse(program.output)["listen"]?.string
      let port = address?.split(separator: ":").last.flatMap { Int($0) }
      return (program, try #require(port))
    }

    /// The link to a probe, through a relay where there is a delay.
    private func link(microseconds: Int?) throws -> String {
      let (program, port) = try listening(["probe", "--listen", "127.0.0.1:0"])
      defer { program.send(SIGTERM) }
      let relay = try microseconds.map { try DelayingRelay(to: port, microseconds: $0) }
      let run = try shardrun([
        "probe", "--peer", "127.0.0.1:\(relay?.port ?? port)", "--json",
      ])
      let link = try JSONParsing().parse(run.output)
      let (trip, rate) = (link["round_trip"]?.int, link["rate"]?.int)
      return "{\"round_trip\": \(try #require(trip)), \"rate\": \(try #require(rate))}"
    }

    /// Profiles this machine and plans for so many of it.
    private func bundle(_ quantized: String, nodes: Int, link: String) throws -> String {
      let profile = try shardrun(["probe", "--name", "node-0", "--quiet"]).output
      let profiles = (0..<nodes).map { node in
        profile.replacingOccurrences(of: "\"node-0\"", with: "\"node-\(node)\"")
      }
      let list = directory.appending("nodes.json")
      let text =
        "{\"schema\": \"shardtool.nodes/1\", \"link\": \(link), \"nodes\": ["
        + profiles.joined(separator: ", ") + "]}"
      try Directory.writeAtomically(Array(text.utf8), to: list)
      let name = directory.appending("bundle-\(nodes)")
      try? FileManager.default.removeItem(atPath: name)
      try tool([
        "plan", quantized, "--nodes", list, "--split", nodes == 1 ? "8" : "3,3,2", "--context",
        "512", "--prompt-tokens", "\(Self.promptTokens)", "--generate-tokens",
        "\(Self.generateTokens)", "--output", name + ".json",
      ])
      try tool(["pack", quantized, "--plan", name + ".json", "--output", name])
      return name
    }

    private func ring(_ bundle: String, microseconds: Int) throws -> Ring {
      var programs: [RunningProgram] = []
      var relays: [DelayingRelay] = []
      var peers: [String] = []
      for node in ["node-1", "node-2"] {
        let (program, port) = try listening([
          "node", "\(bundle)/nodes/\(node)", "--listen", "127.0.0.1:0",
        ])
        programs.append(program)
        relays.append(try DelayingRelay(to: port, microseconds: microseconds))
        peers.append("\(node)=127.0.0.1:\(relays[relays.count - 1].port)")
      }
      return Ring(programs: programs, relays: relays, peers: peers.joined(separator: ","))
    }

    /// Measured ÷ predicted time of a token, less 1.
    private func drift(_ quantized: String, nodes: Int, microseconds: Int?) throws -> Double {
      let link =
        nodes == 1
        ? "{\"round_trip\": 1000, \"rate\": \"1GB/s\"}" : try link(microseconds: microseconds)
      let bundle = try bundle(quantized, nodes: nodes, link: link)
      var place = [bundle, "--local"]
      var ring: Ring?
      if let microseconds {
        let running = try self.ring(bundle, microseconds: microseconds)
        place = [bundle + "/nodes/node-0", "--peers", running.peers]
        ring = running
      }
      let run = try shardrun(
        ["bench"] + place + [
          "--prompt-tokens", "\(Self.promptTokens)", "--generate-tokens",
          "\(Self.generateTokens)", "--repetitions", "3", "--json",
        ])
      for program in ring?.programs ?? [] { program.send(SIGTERM) }
      let result = try JSONParsing().parse(run.output)
      func milliseconds(_ part: String) -> String {
        Quantity.fixed((result[part]?["token_seconds"]?.double ?? 0) * 1e3, digits: 2)
      }
      print(
        "  \(nodes) nodes, link \(link): predicted \(milliseconds("predicted")) ms, measured "
          + "\(milliseconds("measured")) ms a token")
      return try #require(result["token_drift"]?.double)
    }

    @Test func plansPredictWhatIsMeasured() throws {
      let quantized = try quantizedModel()
      for (nodes, microseconds) in [(1, nil), (3, nil), (3, 150), (3, 2500)] as [(Int, Int?)] {
        let drifts = try (0..<Self.rounds).map { _ in
          try drift(quantized, nodes: nodes, microseconds: microseconds)
        }.sorted()
        let middle = drifts[drifts.count / 2]
        let delay = microseconds.map { ", \(Double(2 * $0) / 1000) ms there and back" } ?? ""
        print("\(nodes) nodes\(delay): off by \(Quantity.fixed(middle * 100, digits: 1)) %")
        #expect(abs(middle) <= Self.tolerance, "\(nodes) nodes\(delay): \(drifts)")
      }
    }
  }
}
