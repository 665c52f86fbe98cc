import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// What SHARD_MEASURE names.
private let wantedModel = ProcessInfo.processInfo.environment["SHARD_MEASURE"]

/// Whether plans predict what is then measured, on this machine.
///
/// It takes minutes and a machine that does nothing else, so it runs only where the environment
/// variable SHARD_MEASURE is set: to the directory of a quantized checkpoint, or to 1, which makes
/// a model of 1.1 billion weights. `make predictions` sets it.
extension EndToEnd {
  @Suite(.enabled(if: wantedModel != nil, "SHARD_MEASURE is not set: needs a quiet machine"))
  struct Predictions {
    private let directory: TemporaryDirectory
    private static let (promptTokens, generateTokens) = (128, 32)
    /// Rounds that count for each place, and all that are tried.
    private static let (rounds, mostRounds) = (3, 8)
    /// How far the pace of the machine may be from what it was.
    private static let steadiness = 0.1
    private static let tolerance = 0.15

    init() throws { directory = try TemporaryDirectory() }

    /// Where the nodes are and what lies between them.
    struct Place: Sendable, CustomTestStringConvertible {
      let nodes: Int
      /// What a relay adds each way; nil where there is none.
      let microseconds: Int?

      var testDescription: String {
        let nodes = Quantity.count(nodes, "node")
        guard let microseconds else { return nodes }
        return "\(nodes), \(Double(2 * microseconds) / 1000) ms there and back between them"
      }

      static let all = [
        Place(nodes: 1, microseconds: nil), Place(nodes: 3, microseconds: nil),
        Place(nodes: 3, microseconds: 150), Place(nodes: 3, microseconds: 2500),
      ]
    }

    /// The running nodes behind relays, and how to reach them.
    private struct Ring {
      let programs: [RunningProgram]
      let relays: [DelayingRelay]
      let peers: String
    }

    /// One comparison, in milliseconds a token.
    private struct Sample {
      let drift: Double

      init(predicted: Double, _ measured: Double) { drift = measured / predicted - 1 }
    }

    /// A program that says on its first line where it listens.
    private func listening(_ arguments: [String]) throws -> (program: RunningProgram, port: Int) {
      let program = try RunningProgram("shardrun", arguments + ["--json", "--quiet"])
      try #require(
        RunningProgram.wait(seconds: 120) { program.output.hasSuffix("\n") }, "\(program.errors)")
      let address = try JSONParsing().parse(program.output)["listen"]?.string
      let port = address?.split(separator: ":").last.flatMap { Int($0) }
      return (program, try #require(port))
    }

    /// The link to a probe, through a relay where there is a delay.
    private func link(_ place: Place) throws -> String {
      guard place.nodes > 1 else { return "{\"round_trip\": 1000, \"rate\": \"1GB/s\"}" }
      let (program, port) = try listening(["probe", "--listen", "127.0.0.1:0"])
      defer { program.send(SIGTERM) }
      let relay = try place.microseconds.map { try DelayingRelay(to: port, microseconds: $0) }
      let run = try shardrun([
        "probe", "--peer", "127.0.0.1:\(relay?.port ?? port)", "--json",
      ])
      let link = try JSONParsing().parse(run.output)
      let (trip, rate) = (link["round_trip"]?.int, link["rate"]?.int)
      return "{\"round_trip\": \(try #require(trip)), \"rate\": \(try #require(rate))}"
    }

    /// This machine as a node.
    private func profile() throws -> String {
      try shardrun(["probe", "--name", "node-0", "--quiet"]).output
    }

    /// The plan for so many machines like this one.
    private func plan(
      _ quantized: String, _ place: Place, link: String, profile: String
    ) throws -> JSONValue {
      let profiles = (0..<place.nodes).map { node in
        profile.replacingOccurrences(of: "\"node-0\"", with: "\"node-\(node)\"")
      }
      let list = directory.appending("nodes.json")
      let text =
        "{\"schema\": \"shardtool.nodes/1\", \"link\": \(link), \"nodes\": ["
        + profiles.joined(separator: ", ") + "]}"
      try Directory.writeAtomically(Array(text.utf8), to: list)
      let output = directory.appending("plan.json")
      try shardtool([
        "plan", quantized, "--nodes", list, "--split", try split(quantized, place.nodes),
        "--context", "512", "--prompt-tokens", "\(Self.promptTokens)", "--generate-tokens",
        "\(Self.generateTokens)", "--output", output,
      ])
      return try JSONParsing().parse(try InputFile.contents(of: output))
    }

    /// Layers for each node, as even as can be.
    private func split(_ quantized: String, _ nodes: Int) throws -> String {
      let text = try InputFile.contents(of: quantized + "/config.json")
      let layers = try #require(try JSONParsing().parse(text)["num_hidden_layers"]?.int)
      return (0..<nodes).map { "\(layers * ($0 + 1) / nodes - layers * $0 / nodes)" }
        .joined(separator: ",")
    }

    /// A bundle for so many nodes; which machines it was planned for does not matter here.
    private func bundle(_ quantized: String, nodes: Int) throws -> String {
      let name = directory.appending("bundle-\(nodes)")
      try shardtool([
        "plan", quantized, "--nodes", "\(nodes)", "--ram", "16G", "--split",
        try split(quantized, nodes), "--context", "512", "--output", name + ".json",
      ])
      try shardtool(["pack", quantized, "--plan", name + ".json", "--output", name])
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

    /// Measures and predicts by turns until so many rounds count: those in which the machine was
    /// as fast afterwards as before.
    private func samples(_ quantized: String, _ bundle: String, _ place: Place) throws -> [Sample] {
      let link = try self.link(place)
      let ring = try place.microseconds.map { try self.ring(bundle, microseconds: $0) }
      defer { for program in ring?.programs ?? [] { program.send(SIGTERM) } }
      let nodes = ring.map { [bundle + "/nodes/node-0", "--peers", $0.peers] }
      var before = try plan(quantized, place, link: link, profile: try profile())
      var samples: [Sample] = []
      for _ in 0..<Self.mostRounds where samples.count < Self.rounds {
        let run = try shardrun(
          ["bench"] + (nodes ?? [bundle, "--local"]) + [
            "--prompt-tokens", "\(Self.promptTokens)", "--generate-tokens",
            "\(Self.generateTokens)", "--repetitions", "3", "--json",
          ])
        let result = try JSONParsing().parse(run.output)
        let after = try plan(quantized, place, link: link, profile: try profile())
        let times = try [before, after].map {
          try #require($0["prediction"]?["token_nanoseconds"]?.double) * 1e-6
        }
        let measured = try #require(result["measured"]?["token_seconds"]?.double) * 1e3
        let isSteady = abs(times[1] / times[0] - 1) <= Self.steadiness
        print(
          "  predicted \(Quantity.fixed(times[0], digits: 2)) ms a token, measured "
            + "\(Quantity.fixed(measured, digits: 2)), predicted afterwards "
            + "\(Quantity.fixed(times[1], digits: 2)); stages \(stages(after, result))"
            + (isSteady ? "" : "; does not count, for the machine has changed"))
        if isSteady { samples.append(Sample(predicted: (times[0] + times[1]) / 2, measured)) }
        before = after
      }
      return samples
    }

    /// Predicted and measured milliseconds of each node's part.
    private func stages(_ plan: JSONValue, _ result: JSONValue) -> String {
      let nodes = zip(plan["nodes"]?.array ?? [], result["nodes"]?.array ?? [])
      let pairs = nodes.map { planned, measured in
        let predicted = planned["predicted"]?["decode_nanoseconds"]?.double ?? 0
        let seconds = measured["decode_seconds_per_token"]?.double ?? 0
        return Quantity.fixed(predicted * 1e-6, digits: 2) + "/"
          + Quantity.fixed(seconds * 1e3, digits: 2)
      }
      return pairs.joined(separator: " ")
    }

    @Test func plansPredictWhatIsMeasured() throws {
      var quantized = try #require(wantedModel)
      if !Directory.exists(quantized) {
        quantized = try MadeUpModel(
          hiddenSize: 2048, intermediateSize: 5632, layers: 22, heads: 32, keyValueHeads: 4,
          vocabularySize: 32_000, context: 2048
        ).quantized(in: directory, bits: 4)
      }
      var bundles: [Int: String] = [:]
      for place in Place.all {
        let bundle = try bundles[place.nodes] ?? self.bundle(quantized, nodes: place.nodes)
        bundles[place.nodes] = bundle
        print(place.testDescription)
        let samples = try self.samples(quantized, bundle, place)
        try #require(samples.count == Self.rounds, "the machine does not hold still")
        let drifts = samples.map(\.drift).sorted()
        let middle = drifts[drifts.count / 2]
        print("  off by \(Quantity.fixed(middle * 100, digits: 1)) %")
        #expect(abs(middle) <= Self.tolerance, "\(place.testDescription): \(drifts)")
      }
    }
  }
}
