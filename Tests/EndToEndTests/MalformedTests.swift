import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// Broken checkpoints through the real program: the verdict, the exit
/// status, one sentence, little memory, nothing left behind.
extension EndToEnd {
  @Suite struct Malformed {
    static let cases: [(name: String, isFormat: Bool, isAccepted: Bool)] = {
      guard let root = Places.referenceSet,
        let bytes = try? InputFile.contents(of: root + "/malformed/expected.json"),
        let expected = try? JSONParsing().parse(bytes)
      else { return [] }
      return (expected["cases"]?.array ?? []).compactMap { item in
        item["name"]?.string.map {
          ($0, item["level"]?.string == "format", item["expect"]?.string == "accept")
        }
      }
    }()

    /// Limits the data segment, which holds heap and anonymous memory, to 64 MiB.
    private func quantize(_ checkpoint: String, to output: String) throws -> ProgramRun {
      let program = "\(Places.programs)/shardtool"
      return try ProgramRun.run(
        "/bin/bash",
        [
          "-c", #"ulimit -d 65536; exec "$@""#, "bash", program, "quantize", checkpoint,
          "--output", output, "--quiet", "--threads", "1",
        ])
    }

    /// Fixtures with one contradiction each: a folder of `fixtures/families`, words of its
    /// config.json, what stands there instead, and what the sentence has to name.
    static let contradictions = [
      ("llama", #""model_type": "llama""#, #""model_type": "quux""#, "quux"),
      ("llama", #""rope_theta": 500.0"#, #""rope_theta": -1"#, "rope_theta"),
      ("llama", #""num_hidden_layers": 3"#, #""num_hidden_layers": 2"#, "layers.2."),
      ("llama", #""num_hidden_layers": 3"#, #""num_hidden_layers": 4"#, "layers.3."),
      ("llama", #""vocab_size": 64"#, #""vocab_size": 65"#, "embed_tokens"),
      ("llama-biases", #""mlp_bias": true"#, #""mlp_bias": false"#, "bias"),
      ("llama-biases", #""head_dim": 12"#, #""head_dim": 8"#, "q_proj"),
      ("llama3", #""llama3""#, #""llama4""#, "llama4"),
      ("mistral", #""sliding_window": 7"#, #""sliding_window": 0"#, "sliding_window"),
      ("gpt2", #""n_head": 3"#, #""n_head": 5"#, "n_embd"),
      ("gptj", #""rotary_dim": 4"#, #""rotary_dim": 12"#, "rotary_dim"),
      ("gpt-neox", #""rotary_pct": 0.5"#, #""rotary_pct": 2"#, "rotary_pct"),
      ("stablelm", #""use_qkv_bias": true"#, #""use_qkv_bias": false"#, "bias"),
      ("mixtral", #""num_local_experts": 4"#, #""num_local_experts": 1"#, "num_experts_per_tok"),
      ("mixtral", #""num_local_experts": 4"#, #""num_local_experts": 3"#, "block_sparse_moe.gate"),
    ]

    @Test(arguments: contradictions)
    func contradictionsAreNamed(
      fixture: String, words: String, instead: String, named: String
    ) throws {
      let place = try TemporaryDirectory()
      let model = place.appending("model")
      try Directory.create(model)
      for name in try Directory.names(in: Places.fixture("families/\(fixture)")) {
        let bytes = try InputFile.contents(of: Places.fixture("families/\(fixture)/\(name)"))
        guard name == "config.json" else {
          try Directory.writeAtomically(bytes, to: "\(model)/\(name)")
          continue
        }
        let text = String(decoding: bytes, as: UTF8.self)
        let pieces = text.components(separatedBy: words)
        try #require(pieces.count == 2)
        try Directory.writeAtomically(
          Array(pieces.joined(separator: instead).utf8), to: "\(model)/\(name)")
      }
      let run = try quantize(model, to: place.appending("out"))
      #expect(run.status == 65 && run.output.isEmpty, "\(run.errors)")
      #expect(run.errors.hasPrefix("error: ") && run.errors.contains(named), "\(run.errors)")
      #expect(run.errors.split(separator: "\n").count == 1, "\(run.errors)")
      #expect(try Directory.names(in: place.path) == ["model"])
    }

    @Test(.enabled(if: !cases.isEmpty, "needs the reference set"))
    func everyVerdictIsMet() throws {
      let place = try TemporaryDirectory()
      let root = try #require(Places.referenceSet)
      for (name, isFormat, isAccepted) in Self.cases {
        let run = try quantize("\(root)/malformed/\(name)", to: place.appending("out"))
        if run.status == 0 {
          #expect(isAccepted, "\(name) was accepted")
          try Directory.remove(place.appending("out"))
          continue
        }
        // A sound file may still be no model: only the format cases' files are judged.
        #expect(!isAccepted || isFormat, "\(name): \(run.errors)")
        #expect(run.status == 65 || run.status == 66, "\(name): \(run.status)")
        #expect(run.output.isEmpty && run.errors.split(separator: "\n").count == 1, "\(name)")
        #expect(run.errors.hasPrefix("error: "), "\(name): \(run.errors)")
        #expect(try Directory.names(in: place.path).isEmpty, "\(name) left something behind")
      }
      print("reference set: \(Self.cases.count) malformed checkpoints through shardtool")
    }
  }
}
