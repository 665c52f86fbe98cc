import Checkpoints
import Foundation
import Quantization
import ShardPackaging
import ShardPlanning
import StrictJSON
import TensorCore
import TestSupport
import Testing

extension EndToEnd {
  /// What the programs say to commands that they cannot follow.
  @Suite struct Usage {
    private func error(_ program: String, _ arguments: [String]) throws -> (Int32, String) {
      let run = try ProgramRun.run(program, arguments + ["--json"])
      #expect(run.errors.isEmpty, "\(run.errors)")
      let error = try JSONParsing().parse(run.output)
      #expect(try violations(of: "shard.error", error) == [])
      return (run.status, error["error"]?["message"]?.string ?? "")
    }

    @Test(arguments: [
      ("shardrun", ["generate", "x", "--prompt", "a", "--nonsense"], "--nonsense", "generate "),
      ("shardrun", ["nonsense", "x"], "bench, node, status, probe, verify", ""),
      ("shardrun", ["chat", "x", "--max-tokens", "0"], "not 0", "chat "),
      ("shardrun", ["generate", "x"], "--token-ids 1,2,3", "generate "),
      ("shardtool", ["nonsense"], "there is no command \"nonsense\"", ""),
      ("shardtool", ["plan", "--objective", "speed"], "'latency', 'throughput'", "plan "),
      ("shardtool", ["plan", "--nodes", "3"], "--ram 8G", "plan "),
      ("shardtool", ["verify", "a", "b"], "'b'", "verify "),
      ("shardtool", ["ship", "a"], "target", "ship "),
      ("shardtool", ["ship", "a", "b", "c"], "give each target its --node", "ship "),
      ("shardtool", ["ship", "a", "b", "--retries", "-1"], "not -1", "ship "),
    ])
    func mistakesAreOneSentence(
      program: String, arguments: [String], words: String, command: String
    ) throws {
      let (status, message) = try error(program, arguments)
      #expect(status == 64 && message.contains(words), "\(message)")
      let run = try ProgramRun.run(program, arguments, in: "/")
      #expect(run.status == 64 && run.output.isEmpty)
      #expect(run.errors == "error: \(message)\nsee \(program) \(command)--help\n")
    }

    @Test(arguments: [
      ["--context", "-5"], ["--sequences", "-2"], ["--prefill-chunk", "-1"], ["--threads", "-1"],
      ["--prompt-tokens", "-3"], ["--generate-tokens", "-3"], ["--nodes", "-3"],
    ])
    func negativeNumbersAreOutOfRange(option: [String]) throws {
      let models = try PreparedModels.shared.get()
      let nodes = option[0] == "--nodes" ? [] : ["--nodes", "3"]
      let (status, message) = try error(
        "shardtool", ["plan", models.path("q4"), "--ram", "8G"] + nodes + option)
      #expect(status == 64 && message.contains(option[1]), "\(message)")
      #expect(message.contains("give") || message.contains("takes"), "\(message)")
    }

    @Test func negativeNumbersForTheRunnerAreNamed() throws {
      for (option, words) in [
        ("--max-tokens", "positive number, not -4"), ("--threads", "1 to 256, not -4"),
        ("--temperature", "from 0 up, not -4"), ("--top-k", "from 0 up, not -4"),
        ("--seed", "'-4' is invalid for '--seed"),
      ] {
        let (status, message) = try error(
          "shardrun", ["generate", "x", "--prompt", "a", option, "-4"])
        #expect(status == 64 && message.contains(words), "\(message)")
      }
      // A text may begin with a minus sign.
      let cold = try error("shardrun", ["generate", "/nonexistent", "--prompt", "-5 degrees"])
      #expect(cold.0 == 66)
    }

    @Test func assumptionsAreTold() throws {
      let models = try PreparedModels.shared.get()
      let plan = models.path("assumed.json")
      let options = ["plan", models.path("q4"), "--ram", "8G", "--output", plan]
      let run = try ProgramRun.run("shardtool", options)
      #expect(run.status == 0 && run.errors.contains("planning for one node with 8.00 GiB"))
      let three = try ProgramRun.run("shardtool", options + ["--nodes", "3"])
      #expect(three.status == 0 && !three.errors.contains("planning for"))
    }

    @Test func adviceStaysWithinTheModel() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [6])
      let long = Array(repeating: "5", count: 700).joined(separator: ",")
      let (status, message) = try error("shardrun", ["generate", bundle, "--token-ids", long])
      #expect(status == 78 && message.hasSuffix("the model has no more positions"), "\(message)")
      let tight = try ChatModels.pack(
        PreparedModels.source, nodes: 1, to: models.path("tight"), planning: ["--context", "64"])
      let some = Array(repeating: "5", count: 100).joined(separator: ",")
      #expect(
        try error("shardrun", ["generate", tight, "--token-ids", some]).1
          .contains("--context 100 or more"))
      #expect(
        try error("shardrun", ["generate", tight, "--token-ids", long]).1
          .contains("512 positions at most (--context 512)"))
    }

    @Test func onlyLogitsAreReplaced() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [6])
      let directory = try TemporaryDirectory()
      let notes = directory.appending("notes.txt")
      let weights = directory.appending("model.safetensors")
      try Directory.writeAtomically(Array("mine".utf8), to: notes)
      try FileManager.default.copyItem(
        atPath: "\(PreparedModels.source)/model.safetensors", toPath: weights)
      let before = try InputFile.contents(of: weights)
      let score = ["score", bundle, "--token-ids", "1,2,3", "--logits"]
      for path in [notes, weights] {
        let (status, message) = try error("shardrun", score + [path])
        #expect(status == 73 && message.contains(path), "\(message)")
      }
      #expect(try InputFile.contents(of: notes) == Array("mine".utf8))
      #expect(try InputFile.contents(of: weights) == before)
      let logits = directory.appending("logits.safetensors")
      _ = try shardrun(score + [logits])
      let first = try InputFile.contents(of: logits)
      _ = try shardrun(score + [logits])
      #expect(try InputFile.contents(of: logits) == first)
      let lost = try error("shardrun", score + ["/nonexistent/logits.safetensors"])
      #expect(lost.0 == 73 && lost.1.contains("/nonexistent, where"), "\(lost.1)")
    }

    @Test func plainShardrunTakesNoOptionsInVain() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [3, 3])
      for option in [["--prompt", "a"], ["--max-tokens=3"], ["--seed", "7"], ["--local"]] {
        let run = try ProgramRun.run("shardrun", option, in: "\(bundle)/nodes/node-1")
        let name = option[0].split(separator: "=")[0]
        #expect(run.status == 64 && run.errors.contains(name), "\(run.errors)")
        #expect(run.errors.contains("--peers"))
      }
      let run = try ProgramRun.run("shardrun", ["--listen", "127.0.0.1:0"], in: bundle)
      #expect(run.status == 64 && run.errors.contains("--node NAME"), "\(run.errors)")
    }

    @Test func versionsAndCompletionsArePrinted() throws {
      for program in ["shardtool", "shardrun"] {
        let version = try ProgramRun.run(program, ["--version"])
        #expect(version.status == 0 && version.output.split(separator: ".").count == 3)
        for shell in ["bash", "zsh", "fish"] {
          let script = try ProgramRun.run(program, ["--generate-completion-script", shell])
          #expect(script.status == 0 && script.output.contains("verify"), "\(script.errors)")
        }
      }
    }

    @Test func oneIsSingular() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [6])
      let run = try shardrun(["generate", bundle, "--token-ids", "1", "--max-tokens", "1"])
      #expect(run.errors.contains("prompt 1 token ("), "\(run.errors)")
      #expect(run.errors.contains("generated 1 token,"), "\(run.errors)")
    }
  }

  /// Tokenizers that cannot be read.
  @Suite struct BrokenTokenizers {
    private func brokenCheckpoint(_ directory: TemporaryDirectory) throws -> String {
      let path = directory.appending("checkpoint")
      try FileManager.default.copyItem(atPath: PreparedModels.source, toPath: path)
      try Directory.writeAtomically(
        Array(#"{"model":{"type":"Guess"}}"#.utf8), to: path + "/tokenizer.json")
      return path
    }

    @Test func quantizeAndPackRefuseThem() throws {
      let directory = try TemporaryDirectory()
      let checkpoint = try brokenCheckpoint(directory)
      let output = directory.appending("quantized")
      let run = try ProgramRun.run("shardtool", ["quantize", checkpoint, "--output", output])
      #expect(run.status == 65 && run.errors.contains("tokenizer.json"), "\(run.errors)")
      #expect(try Directory.names(in: directory.path) == ["checkpoint"])

      let models = try PreparedModels.shared.get()
      try FileManager.default.copyItem(atPath: models.path("q4"), toPath: output)
      try Directory.writeAtomically(Array("{}".utf8), to: output + "/tokenizer.json")
      let plan = directory.appending("plan.json")
      let planned = try ProgramRun.run(
        "shardtool", ["plan", output, "--ram", "8G", "--output", plan])
      #expect(planned.status == 0, "\(planned.errors)")
      let pack = try ProgramRun.run(
        "shardtool",
        ["pack", output, "--plan", plan, "--output", directory.appending("bundle")])
      #expect(pack.status == 65 && pack.errors.contains("tokenizer.json"), "\(pack.errors)")
      #expect(!Directory.exists(directory.appending("bundle")))
    }

    @Test func templatesThatCannotBeUsedAreToldEarly() throws {
      let directory = try TemporaryDirectory()
      let checkpoint = directory.appending("checkpoint")
      try FileManager.default.copyItem(atPath: PreparedModels.source, toPath: checkpoint)
      try ChatModels.setTemplate("{% include 'x' %}", in: checkpoint)
      let run = try ProgramRun.run(
        "shardtool", ["quantize", checkpoint, "--output", directory.appending("q")])
      #expect(run.status == 0 && run.errors.contains("\"include\""), "\(run.errors)")
      #expect(run.errors.contains("--template"))
      #expect(run.errors.contains("tokenizer_config.json"), "\(run.errors)")
    }

    @Test func tokensThatTheModelLacksAreTold() throws {
      let directory = try TemporaryDirectory()
      let checkpoint = directory.appending("checkpoint")
      try FileManager.default.copyItem(atPath: PreparedModels.source, toPath: checkpoint)
      let output = directory.appending("q")
      let sound = try ProgramRun.run("shardtool", ["quantize", checkpoint, "--output", output])
      #expect(sound.status == 0 && !sound.errors.contains("ids up to"), "\(sound.errors)")
      let path = checkpoint + "/tokenizer.json"
      var tokenizer = try #require(
        try JSONParsing().parse(try InputFile.contents(of: path)).object)
      let token: JSONValue = [
        "id": 1500, "content": "<new>", "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true,
      ]
      tokenizer["added_tokens"] = .array((tokenizer["added_tokens"]?.array ?? []) + [token])
      try Directory.writeAtomically(
        Array(JSONValue.object(tokenizer).serialized(.pretty).utf8), to: path)
      let run = try ProgramRun.run("shardtool", ["quantize", checkpoint, "--output", output])
      #expect(run.status == 0 && run.errors.contains("warning: \(checkpoint)"), "\(run.errors)")
      #expect(run.errors.contains("ids up to 1500, the model knows those up to 1023"))
    }

    /// A bundle from before the check, or from another packer.
    @Test func idsNeedNoTokenizer() throws {
      let directory = try TemporaryDirectory()
      let models = try PreparedModels.shared.get()
      let quantized = directory.appending("quantized")
      try FileManager.default.copyItem(atPath: models.path("q4"), toPath: quantized)
      try Directory.writeAtomically(Array("{}".utf8), to: quantized + "/tokenizer.json")
      let plan = directory.appending("plan.json")
      _ = try ProgramRun.run("shardtool", ["plan", quantized, "--ram", "8G", "--output", plan])
      let bundle = directory.appending("bundle")
      try Packager.pack(
        try QuantizedCheckpoint(directory: quantized), plan: try ShardPlan.read(from: plan),
        to: bundle, threads: 2)
      let sound = try shardrun([
        "generate", try models.bundle(bits: 4, split: [6]), "--token-ids", "1,5", "--json",
      ])
      let run = try shardrun(["generate", bundle, "--token-ids", "1,5", "--json"])
      #expect(run.errors.contains("going on without text"))
      let ids = try JSONParsing().parse(run.output)["token_ids"]
      #expect(try ids == JSONParsing().parse(sound.output)["token_ids"])
      let score = try shardrun(["score", bundle, "--token-ids", "1,5,7"])
      #expect(score.output.contains("nll") && !score.errors.contains("tokenizer"))
      _ = try shardrun(["score", bundle, "--token-ids", "1,5,7", "--context", "3"])
      _ = try shardrun(["bench", bundle, "--repetitions", "1", "--generate-tokens", "2"])
      let text = try ProgramRun.run("shardrun", ["generate", bundle, "--prompt", "a"])
      #expect(text.status == 65 && text.errors.contains("tokenizer.json"))
    }
  }
}
