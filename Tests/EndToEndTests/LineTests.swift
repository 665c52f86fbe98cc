import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

extension EndToEnd {
  /// `shardrun generate --lines`: many prompts, several at once.
  @Suite struct Lines {
    static let prompts = [
      "Once upon a time", "The fox", "", "One day, a small bird", "Mia", "In the forest there was",
      "A bear and a mouse",
    ]

    private let models: PreparedModels
    private let file: String
    private let directory: TemporaryDirectory

    init() throws {
      models = try PreparedModels.shared.get()
      directory = try TemporaryDirectory()
      file = directory.appending("prompts.txt")
      let text = Self.prompts.joined(separator: "\n") + "\n"
      try Directory.writeAtomically(Array(text.utf8), to: file)
    }

    private static let options = [
      "--max-tokens", "50", "--temperature", "0.8", "--top-k", "30", "--seed", "3",
    ]

    private func alone(_ bundle: String) throws -> [JSONValue] {
      try Self.prompts.map { prompt in
        let run = try shardrun(
          ["generate", bundle, "--prompt", prompt, "--json", "--quiet"] + Self.options)
        return try JSONParsing().parse(run.output)
      }
    }

    private func expect(_ lines: [JSONValue], _ expected: [JSONValue], _ what: String) throws {
      #expect(lines.count == expected.count, "\(what)")
      for (index, (line, alone)) in zip(lines, expected).enumerated() {
        #expect(try violations(of: "shardrun.line", line) == [])
        #expect(line["line"]?.int == index + 1)
        for key in ["token_ids", "text", "finish_reason"] {
          #expect(line[key] == alone[key], "\(what), line \(index + 1), \(key)")
        }
      }
    }

    @Test func eachLineIsAsIfAlone() throws {
      let expected = try alone(try models.bundle(bits: 4, split: [2, 2, 2]))
      for (split, sequences, options) in [
        ([6], 2, []), ([2, 2, 2], 3, []), ([2, 2, 2], 3, ["--sequences", "2"]),
        ([3, 3], 4, ["--prefill-chunk", "3"]), ([2, 2, 2], 1, []),
      ] {
        let bundle = try models.bundle(bits: 4, split: split, sequences: sequences)
        let run = try shardrun(
          ["generate", bundle, "--prompt-file", file, "--lines", "--json"] + Self.options + options)
        let lines = try run.output.split(separator: "\n").map {
          try JSONParsing().parse(Array($0.utf8))
        }
        try expect(lines, expected, "\(split) with \(sequences) sequences \(options)")
        #expect(run.errors.contains("7 prompts of"), "\(run.errors)")
        let says = run.errors.contains("plan with --sequences")
        #expect(says == (sequences == 1))
      }
      let bundle = try models.bundle(bits: 4, split: [2, 2, 2], sequences: 3)
      let text = try shardrun(
        ["generate", bundle, "--prompt-file", file, "--lines", "--quiet"] + Self.options)
      let blocks = expected.map { $0["text"]?.string ?? "" }
        .map { $0.hasSuffix("\n") ? $0 : $0 + "\n" }
      #expect(text.output == blocks.joined(separator: "\n"))
    }

    @Test func aLostNodeChangesNothing() throws {
      let expected = try alone(try models.bundle(bits: 4, split: [2, 2, 2]))
      let bundle = try models.bundle(bits: 4, split: [2, 2, 2], sequences: 3)
      let nodes = try ServedNodes(bundle, count: 2, microseconds: 4000)
      let program = try RunningProgram(
        "shardrun",
        [
          "generate", "\(bundle)/nodes/node-0", "--peers", nodes.peers, "--prompt-file", file,
          "--lines", "--json",
        ] + Self.options)
      try #require(RunningProgram.wait(seconds: 20) { program.output.contains("\n") })
      try nodes.restart(2)
      let end = try #require(program.finish(withinSeconds: 30))
      #expect(end.status == 0, "\(program.errors)")
      #expect(program.errors.contains("lost node-2"), "\(program.errors)")
      try expect(try answers(program.output), expected, "with a loss")
    }

    @Test func theGainIsMeasured() throws {
      let bundle = try models.bundle(bits: 4, split: [2, 2, 2])
      let run = try ProgramRun.run(
        "shardbench", ["pipeline", bundle, "--pass-time", "8ms", "--tokens", "24", "--json"])
      #expect(run.status == 0, "\(run.errors)")
      let json = try JSONParsing().parse(run.output)
      #expect(try violations(of: "shardbench.pipeline", json) == [])
      #expect(json["same_tokens"]?.bool == true)
      #expect((json["gain"]?.double ?? 0) > 2, "\(run.output)")
      let whole = try ProgramRun.run(
        "shardbench", ["pipeline", try models.bundle(bits: 4, split: [6])])
      #expect(whole.status == 64 && whole.errors.contains("for one node"))
    }

    @Test func whatIsWrongIsSaid() throws {
      let bundle = try models.bundle(bits: 4, split: [6], sequences: 2)
      for options in [
        ["--lines"], ["--lines", "--prompt", "Once"], ["--prompt-file", file, "--sequences", "2"],
        ["--prompt-file", file, "--lines", "--sequences", "0"],
      ] {
        let run = try ProgramRun.run("shardrun", ["generate", bundle] + options)
        #expect(run.status == 64 && run.output.isEmpty, "\(options): \(run.errors)")
      }
      let long = directory.appending("long.txt")
      let words = [String](repeating: "forest", count: 2000).joined(separator: " ")
      try Directory.writeAtomically(Array("Once\n\(words)\n".utf8), to: long)
      let run = try ProgramRun.run(
        "shardrun", ["generate", bundle, "--prompt-file", long, "--lines"])
      #expect(run.status == 78 && run.output.isEmpty && run.errors.contains("prompt 2"))
      let json = try ProgramRun.run(
        "shardrun", ["generate", bundle, "--prompt-file", long, "--lines", "--json"])
      #expect(json.status == 78)
      let error = try JSONParsing().parse(json.output)
      #expect(try violations(of: "shard.error", error) == [])
    }
  }
}
