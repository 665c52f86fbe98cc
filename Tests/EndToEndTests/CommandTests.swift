import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// What users type, and what they get.
extension EndToEnd {
  @Suite struct Commands {
    @Test func theFourLiteralCommandsWork() throws {
      let directory = try TemporaryDirectory()
      let place = directory.appending("checkpoint")
      try FileManager.default.copyItem(atPath: PreparedModels.source, toPath: place)
      for arguments in [
        ["quantize"], ["plan", "--nodes", "3", "--ram", "8G"], ["pack"],
      ] {
        let run = try ProgramRun.run("shardtool", arguments, in: place)
        #expect(run.status == 0, "shardtool \(arguments): \(run.errors)")
      }
      let run = try shardrun([], in: place)
      #expect(run.output.hasPrefix("Once upon a time"))
      #expect(run.output.count > 40 && run.output.hasSuffix("\n"))
      for node in ["node-0", "node-1", "node-2"] { #expect(run.errors.contains(node)) }

      let piped = try shardrun([], in: place, input: "Mia was a brave fox\n")
      #expect(piped.output.hasPrefix("Mia was a brave fox who"))
      let generated = try shardrun(
        ["generate", "--prompt", "Mia was a brave fox", "--quiet"], in: place)
      #expect("Mia was a brave fox" + generated.output == piped.output)
      #expect(generated.errors.isEmpty)
    }

    @Test func nothingButTheTextReachesStandardOutput() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [2, 2, 2])
      let arguments = ["generate", bundle, "--prompt", "Once upon a time", "--max-tokens", "30"]
      let json = try JSONParsing().parse(try shardrun(arguments + ["--json"]).output)
      let text = try #require(json["text"]?.string)
      let run = try shardrun(arguments)
      #expect(run.output == (text.hasSuffix("\n") ? text : text + "\n"))
      #expect(run.errors.contains("tokens/s") && run.errors.contains("first token"))
      #expect(run.errors.contains("node-2") && run.errors.contains("peak memory"))
      let file = models.path("prompt.txt")
      try Directory.writeAtomically(Array("Once upon a time\n".utf8), to: file)
      let fromFile = try shardrun(
        ["generate", bundle, "--prompt-file", file, "--max-tokens", "30"])
      #expect(fromFile.output == run.output)
    }

    @Test func generationEndsAsItShould() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [3, 3])
      func generate(_ options: [String]) throws -> JSONValue {
        try JSONParsing().parse(
          try shardrun(["generate", bundle, "--prompt", "Once upon a time", "--json"] + options)
            .output)
      }
      let stopped = try generate(["--max-tokens", "500"])
      #expect(stopped["finish_reason"]?.string == "stop")
      #expect(stopped["token_ids"]?.array?.last?.int == 2)
      let cut = try generate(["--max-tokens", "3"])
      #expect(cut["finish_reason"]?.string == "length")
      #expect(cut["token_ids"]?.array?.count == 3)
      let full = try generate(["--max-tokens", "5000", "--ignore-eos"])
      #expect(full["finish_reason"]?.string == "context")
      #expect((full["token_ids"]?.array?.count ?? 0) > 400)
      let count = stopped["token_ids"]?.array?.count ?? 0
      #expect(
        full["token_ids"]?.array?.prefix(count).map { $0 } == stopped["token_ids"]?.array)
    }

    @Test(arguments: [
      ["generate"], ["generate", "x", "--prompt", "a", "--token-ids", "1"],
      ["generate", "x", "--prompt", "a", "--temperature", "-1"],
      ["generate", "x", "--prompt", "a", "--top-p", "2"],
      ["generate", "x", "--prompt", "a", "--max-tokens", "0"],
      ["generate", "x", "--token-ids", "1,,2"], ["generate", "x", "--token-ids", "-1"],
      ["generate", "x", "--prompt", "a", "--local", "--peers", "a=b:1"],
      ["generate", "x", "--prompt", "a", "--peers", "nonsense"],
      ["generate", "x", "--prompt", "a", "--peers", "node-1=a:1|"],
      ["generate", "x", "--prompt", "a", "--on-failure", "hope"],
      ["generate", "x", "--prompt", "a", "--failure-timeout", "0"],
      ["chat", "x", "--failure-timeout", "soon"],
      ["generate", "x", "--prompt", "a", "--threads", "0"],
      ["generate", "x", "--prompt", "a", "--prefill-chunk", "0"],
      ["score", "x"], ["score", "x", "--token-ids", "1", "--bos", "1"],
      ["score", "x", "--token-ids", "1", "--context", "1"],
      ["bench", "x", "--repetitions", "0"], ["node", "x", "--listen", "nonsense"],
      ["nonsense"], ["generate", "--nonsense"],
    ])
    func misuseIsExplained(arguments: [String]) throws {
      let run = try ProgramRun.run("shardrun", arguments, in: "/")
      #expect(run.status == 64, "\(arguments): \(run.errors)")
      #expect(run.output.isEmpty && !run.errors.isEmpty)
    }

    @Test(arguments: ["", "generate", "chat", "score", "bench", "node", "verify"])
    func everyCommandHasHelp(command: String) throws {
      let run = try shardrun((command.isEmpty ? [] : [command]) + ["--help"])
      #expect(run.output.contains("USAGE: shardrun"))
    }

    @Test func missingInputIsNamed() throws {
      let directory = try TemporaryDirectory()
      let nothing = try ProgramRun.run("shardrun", [], in: directory.path)
      #expect(nothing.status == 66 && nothing.errors.contains("shards/bundles"))
      let bundle = try ProgramRun.run(
        "shardrun", ["generate", "/nonexistent", "--prompt", "a", "--json"])
      #expect(bundle.status == 66)
      let error = try JSONParsing().parse(bundle.output)
      #expect(error["error"]?["message"]?.string?.contains("/nonexistent") == true)
      let models = try PreparedModels.shared.get()
      let file = try ProgramRun.run(
        "shardrun",
        ["score", try models.bundle(bits: 4, split: [6]), "--token-file", "/nonexistent"])
      #expect(file.status == 66 && file.errors.contains("/nonexistent"))
    }

    @Test func requestsThatCannotBeMetAreNamed() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [3, 3])
      func fault(_ arguments: [String]) throws -> (Int32, String) {
        let run = try ProgramRun.run("shardrun", arguments + ["--json"])
        let error = try JSONParsing().parse(run.output)
        return (run.status, error["error"]?["code"]?.string ?? "")
      }
      #expect(
        try fault(["generate", bundle, "--token-ids", "1,1024"])
          == (65, "generation.tokenOutsideVocabulary"))
      let long = Array(repeating: "5", count: 700).joined(separator: ",")
      #expect(
        try fault(["generate", bundle, "--token-ids", long])
          == (78, "generation.longerThanContext"))
      #expect(
        try fault(["score", bundle, "--token-ids", long]) == (78, "generation.longerThanContext"))
      #expect(
        try fault(["bench", bundle, "--prompt-tokens", "600"])
          == (78, "generation.longerThanContext"))
    }

    @Test func aCheckpointWithoutTokenizerTakesIds() throws {
      let directory = try TemporaryDirectory()
      for name in ["config.json", "model.safetensors"] {
        try FileManager.default.copyItem(
          atPath: "\(PreparedModels.source)/\(name)", toPath: directory.appending(name))
      }
      for arguments in [["quantize"], ["plan", "--nodes", "2", "--ram", "8G"], ["pack"]] {
        let run = try ProgramRun.run("shardtool", arguments + ["--quiet"], in: directory.path)
        #expect(run.status == 0, "\(run.errors)")
      }
      let ids = "1,577,576,261,478,575,286,261"
      let options = ["--token-ids", ids, "--max-tokens", "12"]
      let models = try PreparedModels.shared.get()
      let whole = try shardrun(
        ["generate", try models.bundle(bits: 4, split: [6]), "--json"] + options)
      let expected = try #require(try JSONParsing().parse(whole.output)["token_ids"]?.array)
      let run = try shardrun(["generate"] + options, in: directory.path)
      let words = expected.compactMap(\.int).map(String.init).joined(separator: " ")
      #expect(run.output.trimmingCharacters(in: .whitespacesAndNewlines) == words)
      let json = try JSONParsing().parse(
        try shardrun(["generate", "--json"] + options, in: directory.path).output)
      #expect(json["text"] == .null && json["token_ids"]?.array == expected)
      #expect(try shardrun(["--max-tokens", "3"], in: directory.path).output.count > 3)
      let text = try ProgramRun.run(
        "shardrun", ["generate", "--prompt", "Once"], in: directory.path)
      #expect(text.status == 64 && text.errors.contains("--token-ids"))
      _ = try shardrun(["score", "--token-ids", ids, "--context", "8"], in: directory.path)
    }

    @Test func everyFormOfTokenFileIsRead() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [6])
      func score(_ arguments: [String]) throws -> Double? {
        let run = try shardrun(["score", bundle, "--json"] + arguments)
        return try JSONParsing().parse(run.output)["nll"]?.double
      }
      let text = models.path("ids.txt")
      try Directory.writeAtomically(Array(" 1 577\n576\t261\r\n478 ".utf8), to: text)
      let expected = try score(["--token-ids", "1,577,576,261,478"])
      #expect(expected != nil)
      #expect(try score(["--token-file", text]) == expected)
      try Directory.writeAtomically(Array("1 577 x".utf8), to: text)
      let bad = try ProgramRun.run("shardrun", ["score", bundle, "--token-file", text])
      #expect(bad.status == 65 && bad.errors.contains(text) && bad.errors.contains("byte 6"))
      let story = models.path("story.txt")
      try Directory.writeAtomically(Array("Once upon a time".utf8), to: story)
      let byText = try score(["--text-file", story, "--context", "64"])
      let encoded = try ProgramRun.run(
        "shardtool", ["tokenize", PreparedModels.source], input: "Once upon a time")
      let ids = encoded.output.split { !$0.isNumber }.joined(separator: ",")
      #expect(try score(["--token-ids", ids, "--context", "64"]) == byText)
    }
  }
}
