import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// The ledger that plans print, against what processes really take.
extension EndToEnd {
  @Suite struct Memory {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Plans and packs; returns the bundle and the ledger's total of each node.
    private func bundle(
      _ quantized: String, nodes: Int, _ options: [String]
    ) throws -> (path: String, totals: [Int]) {
      let name = directory.appending("bundle-\(UUID().uuidString)")
      try shardtool(
        ["plan", quantized, "--nodes", "\(nodes)", "--ram", "64G", "--output", name + ".json"]
          + options)
      try shardtool(["pack", quantized, "--plan", name + ".json", "--output", name])
      let plan = try JSONParsing().parse(try InputFile.contents(of: name + ".json"))
      let totals = (plan["nodes"]?.array ?? []).map { node in
        let bytes = node["ledger"]?["bytes"]?.object
        return bytes?.keys.reduce(0) { $0 + (bytes?[$1]?.int ?? 0) } ?? 0
      }
      return (name, totals)
    }

    /// tiny-fable and a small model of each family, and those of the reference set where it is.
    static var models: [String] {
      let families = Places.fixture("families")
      let names = (try? Directory.names(in: families)) ?? []
      return [PreparedModels.source]
        + names.map { "\(families)/\($0)" }.filter { Directory.isFile($0 + "/config.json") }
        + Places.referenceDirectories("models")
        + Places.referenceDirectories("trained").filter { Directory.name(of: $0) != "tiny-fable" }
    }

    private func context(of model: String) throws -> Int {
      let configuration = try JSONParsing().parse(
        try InputFile.contents(of: model + "/config.json"))
      let most =
        configuration["max_position_embeddings"]?.int ?? configuration["n_positions"]?.int ?? 64
      return min(most, 512)
    }

    @Test(arguments: models)
    func peaksStayWithinTheLedger(model: String) throws {
      let name = Directory.name(of: model)
      let quantized = directory.appending("quantized")
      try shardtool(["quantize", model, "--output", quantized])
      let context = try context(of: model)
      let isFirst = model == PreparedModels.source
      for (threads, nodes) in isFirst ? [(1, 1), (2, 3), (8, 2)] : [(2, 1)] {
        let made = try bundle(
          quantized, nodes: nodes, ["--threads", "\(threads)", "--context", "\(context)"])
        let generated = min(8, context / 2)
        // All of the context is used.
        let run = try shardrun([
          "bench", made.path, "--local", "--threads", "\(threads)", "--repetitions", "1",
          "--prompt-tokens", "\(context - generated)", "--generate-tokens", "\(generated)",
          "--json",
        ])
        let result = try JSONParsing().parse(run.output)
        for (node, total) in zip(result["nodes"]?.array ?? [], made.totals) {
          let peak = try #require(node["peak_resident_bytes"]?.int)
          print(
            "\(name), \(nodes) nodes, \(threads) threads, \(node["name"]?.string ?? ""): "
              + "peak \(peak >> 10) KiB of \(total >> 10) KiB")
          #expect(node["ledger_bytes"]?.int == total)
          #expect(peak <= total, "\(name) with \(threads) threads")
          #expect(total <= peak + peak / 20 + 48 << 20, "\(name) with \(threads) threads")
        }
      }
    }

    /// About 64 MiB of weights, most of them in the layers.
    private static let middleModel = MadeUpModel(
      hiddenSize: 512, intermediateSize: 1376, layers: 8, heads: 8, keyValueHeads: 4,
      vocabularySize: 4096, context: 1024)

    @Test(.enabled(if: ControlGroup.obstacle == nil, "needs the right to make control groups"))
    func aNodeRunsInItsLedgerAndIsRefusedBelow() throws {
      let quantized = try Self.middleModel.quantized(in: directory, bits: 16)
      let made = try bundle(quantized, nodes: 2, ["--threads", "2"])
      let group = try ControlGroup(limit: made.totals[1])
      let alone = try bundle(quantized, nodes: 1, ["--threads", "2"])
      let arguments = [
        "generate", alone.path, "--threads", "2", "--json", "--max-tokens", "24",
        "--token-ids", (1...1000).map(String.init).joined(separator: ","),
      ]
      try group.setLimit(alone.totals[0])
      let runs = try group.run("shardrun", arguments)
      #expect(runs.status == 0, "\(runs.output) \(runs.errors)")

      for (bundle, total, run) in [
        (alone.path, alone.totals[0], arguments),
        (
          made.path, made.totals[1],
          [
            "node", made.path + "/nodes/node-1", "--threads", "2", "--listen", "127.0.0.1:0",
            "--json",
          ]
        ),
      ] {
        let limit = total / 100 * 95
        try group.setLimit(limit)
        let refused = try group.run("shardrun", run)
        #expect(refused.status == 78, "\(bundle): \(refused.output) \(refused.errors)")
        let error = try #require(try JSONParsing().parse(refused.output)["error"])
        #expect(error["code"]?.string == "runtime.doesNotFit")
        let message = try #require(error["message"]?.string)
        #expect(message.contains("KV cache") && message.contains("control group"))
        // The system counts whole pages.
        let missing = error["missing_bytes"]?.string.flatMap { Int($0) } ?? 0
        #expect(abs(missing - (total - limit)) < 8192, "\(message)")
      }
    }

    @Test func moreThreadsThanPlannedAreInTheLedgerOfTheLoader() throws {
      let quantized = directory.appending("quantized")
      try shardtool(["quantize", PreparedModels.source, "--output", quantized])
      let made = try bundle(quantized, nodes: 1, ["--threads", "1"])
      let run = try shardrun([
        "bench", made.path, "--threads", "8", "--repetitions", "1", "--json",
      ])
      let node = try #require(try JSONParsing().parse(run.output)["nodes"]?.array?.first)
      let ledger = try #require(node["ledger_bytes"]?.int)
      #expect(ledger > made.totals[0])
      #expect(try #require(node["peak_resident_bytes"]?.int) <= ledger)
    }
  }
}
