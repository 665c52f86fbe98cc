import Checkpoints
import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// How near quantized models stay to the stored weights, beside plain rounding to so many bits.
extension EndToEnd {
  @Suite struct Yardstick {
    /// tiny-fable, and the other trained models where the reference set is.
    static var models: [String] {
      let others = Places.referenceDirectories("trained").filter {
        Directory.name(of: $0) != "tiny-fable"
      }
      return [PreparedModels.source] + others
    }

    /// What the programs say about one checkpoint at one precision.
    private struct Measurement {
      let perplexity: Double
      let tokens: Int
      let logits: [Float]
    }

    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Quantizes, plans, packs and scores: the whole text, and the logits of its first windows.
    private func measure(_ model: String, bits: Int, ids: [Int32]) throws -> Measurement {
      let place = directory.appending("\(bits)")
      for arguments in [
        ["quantize", model, "--bits", "\(bits)", "--output", place],
        ["plan", place, "--nodes", "1", "--ram", "8G", "--output", place + ".json"],
        ["pack", place, "--plan", place + ".json", "--output", place + "-bundle"],
      ] {
        let run = try ProgramRun.run("shardtool", arguments + ["--quiet"])
        try #require(run.status == 0, "\(run.errors)")
      }
      let list = directory.appending("ids.txt")
      try Directory.writeAtomically(
        Array(ids.map(String.init).joined(separator: "\n").utf8), to: list)
      let file = directory.appending("logits.safetensors")
      let options = ["score", place + "-bundle", "--context", "256", "--bos", "1", "--json"]
      let whole = try JSONParsing().parse(
        try shardrun(options + ["--token-file", model + "/eval_ids.safetensors"]).output)
      _ = try shardrun(options + ["--token-file", list, "--logits", file])
      return Measurement(
        perplexity: try #require(whole["perplexity"]?.double),
        tokens: try #require(whole["tokens"]?.int),
        logits: try SafetensorsFile(path: file).floats("logits"))
    }

    /// Mean of KL(p || q) over rows of logits, in nats.
    private static func divergence(_ p: [Float], _ q: [Float], columns: Int) -> Double {
      let rows = p.count / columns
      let sum = (0..<rows).reduce(0.0) { sum, row in
        let places = (row * columns)..<((row + 1) * columns)
        return sum + divergence(p[places], q[places])
      }
      return sum / Double(rows)
    }

    private static func divergence(_ p: ArraySlice<Float>, _ q: ArraySlice<Float>) -> Double {
      let largest = (Double(p.max() ?? 0), Double(q.max() ?? 0))
      var totals = (p: 0.0, q: 0.0, difference: 0.0)
      for (a, b) in zip(p, q) {
        let left = Double(a) - largest.0
        let right = Double(b) - largest.1
        let weight = exp(left)
        totals.p += weight
        totals.q += exp(right)
        totals.difference += weight * (left - right)
      }
      return totals.difference / totals.p - log(totals.p) + log(totals.q)
    }

    @Test(arguments: models)
    func quantizedModelsStayNear(model: String) throws {
      let golden = try JSONParsing().parse(InputFile.contents(of: model + "/golden.json"))
      let result = try #require(golden["perplexity"]?["result"])
      let rows = golden["rtn_yardstick"]?["rows"]?.array ?? []
      func plain(bits: Int, group: Int) throws -> Double {
        let row = rows.first { $0["bits"]?.int == bits && $0["group"]?.int == group }
        return try #require(row?["mean_kl"]?.double)
      }
      let ids = Array(try SafetensorsFile(path: model + "/eval_ids.safetensors").int32s("ids"))
      let windows = Array(ids.prefix(24 * 255))
      let stored = try measure(model, bits: 16, ids: windows)
      let expected = try #require(result["perplexity"]?.double)
      #expect(stored.tokens == result["tokens_scored"]?.int)
      #expect(abs(stored.perplexity / expected - 1) < 5e-5)
      let columns = stored.logits.count / windows.count
      let name = Directory.name(of: model)
      print("\(name), 16 bits: perplexity \(stored.perplexity), golden \(expected)")
      let bars = [
        8: 3 * (try plain(bits: 8, group: 64)),
        4: (name == "tiny-fable" ? 0.9 : 0.7) * (try plain(bits: 4, group: 32)),
      ]
      for (bits, bar) in bars.sorted(by: { $0.key > $1.key }) {
        let found = try measure(model, bits: bits, ids: windows)
        let divergence = Self.divergence(stored.logits, found.logits, columns: columns)
        print(
          "\(name), \(bits) bits: perplexity \(found.perplexity), mean KL \(divergence), "
            + "allowed \(bar)")
        #expect(divergence <= bar, "\(name), \(bits) bits")
        if bits == 8 { #expect(abs(found.perplexity / stored.perplexity - 1) <= 0.002) }
      }
    }
  }
}
