import Checkpoints
import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// The programs against what other implementations found.
extension EndToEnd {
  @Suite struct Golden {
    private let golden: JSONValue
    private let values: SafetensorsFile

    init() throws {
      golden = try JSONParsing().parse(
        InputFile.contents(of: PreparedModels.source + "/golden.json"))
      values = try SafetensorsFile(path: PreparedModels.source + "/golden.safetensors")
    }

    @Test func logitsOfThreeProcessesMeetTheGoldenOnes() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 16, split: [2, 2, 2])
      let file = models.path("golden-logits.safetensors")
      for prompt in 0..<3 {
        let ids = try values.int32s("prompt\(prompt).input_ids")
        let expected = try values.floats("prompt\(prompt).logits")
        _ = try shardrun([
          "score", bundle, "--token-ids", ids.map(String.init).joined(separator: ","),
          "--logits", file, "--quiet",
        ])
        let found = try SafetensorsFile(path: file)
        #expect(try found.entry("logits").shape == [ids.count, 1024])
        let logits = try found.floats("logits")
        let error = zip(logits, expected).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
        #expect(logits.count == expected.count && error <= 2e-3, "prompt \(prompt): \(error)")
      }
    }

    @Test func greedyTextMeetsTheGoldenText() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 16, split: [2, 2, 2])
      for prompt in golden["prompts"]?.array ?? [] {
        let text = try #require(prompt["text"]?.string)
        let whole = try #require(prompt["greedy_text"]?.string)
        let ids = try #require(prompt["greedy_ids"]?.array).compactMap(\.int)
        let run = try shardrun([
          "generate", bundle, "--prompt", text, "--max-tokens", "\(ids.count)", "--ignore-eos",
          "--json",
        ])
        let json = try JSONParsing().parse(run.output)
        // Steps that are nearly a tie may fall either way in another implementation.
        let close = prompt["first_step_with_margin_below_0.02"]?.int ?? ids.count
        let found = json["token_ids"]?.array?.compactMap(\.int) ?? []
        #expect(Array(found.prefix(close)) == Array(ids.prefix(close)))
        #expect(found.count == ids.count)
        if found == ids { #expect(text + (json["text"]?.string ?? "") == whole) }
      }
    }

    @Test func perplexityMeetsTheGoldenOne() throws {
      let models = try PreparedModels.shared.get()
      let perplexity = try #require(golden["perplexity"])
      let result = try #require(perplexity["result"])
      let context = try #require(perplexity["context"]?.int)
      let run = try shardrun([
        "score", try models.bundle(bits: 16, split: [3, 3]), "--token-file",
        PreparedModels.source + "/eval_ids.safetensors", "--context", "\(context)", "--json",
      ])
      let json = try JSONParsing().parse(run.output)
      let found = try #require(json["perplexity"]?.double)
      let expected = try #require(result["perplexity"]?.double)
      #expect(abs(found / expected - 1) < 5e-5, "\(found) instead of \(expected)")
      #expect(json["tokens"]?.int == result["tokens_scored"]?.int)
      let sums = json["piece_nll"]?.array?.compactMap(\.double) ?? []
      let first = result["first_windows_nll"]?.array?.compactMap(\.double) ?? []
      #expect(!first.isEmpty && zip(sums, first).allSatisfy { abs($0 - $1) < 0.02 })
    }
  }
}
