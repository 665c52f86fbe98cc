import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// The promise that nothing about how a model is spread changes a bit of what it says.
extension EndToEnd {
  @Suite struct Splits {
    static let layers = 6

    /// All ways to give 6 layers to 1, 2 or 3 nodes.
    static let all: [[Int]] = {
      var splits = [[layers]]
      for first in 1..<layers {
        splits.append([first, layers - first])
        for second in 1..<(layers - first) {
          splits.append([first, second, layers - first - second])
        }
      }
      return splits
    }()

    static let ids = "1,577,576,261,478,575,286,261,942,776,361,482,16,321,887,286"

    private func logits(
      _ models: PreparedModels, bits: Int, split: [Int], threads: Int, chunk: Int
    ) throws -> [UInt8] {
      let file = models.path("logits.safetensors")
      let bundle = try models.bundle(bits: bits, split: split)
      _ = try shardrun([
        "score", bundle, "--token-ids", Self.ids, "--threads", "\(threads)", "--prefill-chunk",
        "\(chunk)", "--logits", file, "--quiet",
      ])
      return try InputFile.contents(of: file)
    }

    @Test(arguments: [4, 16])
    func everyCutThreadCountAndChunkGivesTheSameLogits(bits: Int) throws {
      let models = try PreparedModels.shared.get()
      let expected = try logits(models, bits: bits, split: [6], threads: 1, chunk: 512)
      #expect(expected.count > 16 * 1024 * 4)
      for (index, split) in Self.all.enumerated() {
        for (place, (threads, chunk)) in [(1, 1), (2, 7), (1, 512), (2, 1), (1, 7), (2, 512)]
          .enumerated()
        {
          // Every cut with 16 bits; with 4 each cut takes its turn with one of the settings.
          guard bits == 16 || index % 6 == place else { continue }
          let found = try logits(models, bits: bits, split: split, threads: threads, chunk: chunk)
          #expect(found == expected, "split \(split), \(threads) threads, chunk \(chunk)")
        }
      }
    }

    @Test func everySplitGeneratesTheSameTokens() throws {
      let models = try PreparedModels.shared.get()
      for options in [
        [], ["--temperature", "0.9", "--top-k", "40", "--top-p", "0.95", "--seed", "11"],
      ] {
        var results: [JSONValue] = []
        for split in [[6], [3, 3], [2, 2, 2], [4, 1, 1]] {
          let bundle = try models.bundle(bits: 4, split: split)
          let run = try shardrun(
            ["generate", bundle, "--prompt", "Once upon a time", "--max-tokens", "40", "--json"]
              + options)
          let json = try JSONParsing().parse(run.output)
          results.append(["ids": json["token_ids"] ?? .null, "text": json["text"] ?? .null])
        }
        #expect(results.allSatisfy { $0 == results[0] })
        #expect((results[0]["ids"]?.array?.count ?? 0) > 5)
      }
    }
  }
}
