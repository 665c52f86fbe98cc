import Foundation
import StrictJSON
import TestSupport
import Testing

extension EndToEnd {
  /// Input that is no message or cannot be read, and readers that go away.
  @Suite struct ChatInputs {
    /// Runs a line of bash, in which "$run" and "$tool" are the programs and "$1" … the words.
    private func bash(_ line: String, _ words: [String]) throws -> ProgramRun {
      try ProgramRun.run(
        "/bin/bash", ["-c", line, "bash"] + words,
        environment: [
          "run": "\(Places.programs)/shardrun", "tool": "\(Places.programs)/shardtool",
        ])
    }

    private static let messages = "while echo hi && echo /reset; do :; done 2>/dev/null"

    @Test(arguments: ["-q", "--json"])
    func aChatEndsWithItsReader(option: String) throws {
      let bundle = try ChatModels.shared.get().bundles[1]
      let generate = try bash(
        "\"$run\" generate \"$1\" --prompt a -q | head -c 10 >/dev/null; echo ${PIPESTATUS[0]}",
        [bundle])
      let chat = try bash(
        "(\(Self.messages)) | timeout 60 \"$run\" chat \"$1\" --max-tokens 3 \"$2\" 2>/dev/null "
          + "| head -c 10 >/dev/null; echo ${PIPESTATUS[1]}", [bundle, option])
      #expect(chat.output == generate.output && !chat.output.isEmpty)
    }

    /// Each bad line is an error on a line; the lines around it are answered.
    @Test func badLinesAreToldAndPassedOver() throws {
      for bundle in try ChatModels.shared.get().bundles {
        for (input, options, code) in [
          (#"a fox\n\xff\xfe\na deer\n"#, ["--json"], "text.notUTF8"),
          (#""a fox"\nnot json\n"a deer"\n"#, ["--json", "--json-lines"], "text.notJSON"),
        ] {
          let run = try bash(
            "printf \"$1\" | \"$run\" chat \"$2\" --max-tokens 4 \"${@:3}\"",
            [input, bundle] + options)
          #expect(run.status == 65, "\(run.errors)")
          let found = try answers(run.output)
          try #require(found.count == 3, "\(run.output)")
          #expect(found[0]["turn"]?.int == 1 && found[2]["turn"]?.int == 2)
          #expect(try violations(of: "shard.error", found[1]) == [])
          #expect(found[1]["error"]?["code"]?.string == code)
          #expect(found[1]["error"]?["message"]?.string?.contains("line 2 of") == true)
        }
      }
      let bundle = try ChatModels.shared.get().bundles[0]
      let text = try bash(
        #"printf 'a fox\n\xff\na deer\n' | "$run" chat "$1" --max-tokens 4 -q"#, [bundle])
      #expect(text.status == 65 && text.output.split(separator: "\n").count == 2)
      #expect(text.errors == "error: line 2 of standard input is not UTF-8 text; convert it\n")
    }

    @Test func aLineThatIsTooLongIsPassedOver() throws {
      let run = try bash(
        "(head -c 17000000 /dev/zero | tr '\\0' a; echo; echo a fox) "
          + "| \"$run\" chat \"$1\" --max-tokens 4 --json", [ChatModels.shared.get().bundles[0]])
      let found = try answers(run.output)
      try #require(run.status == 65 && found.count == 2, "\(run.errors)")
      #expect(found[0]["error"]?["code"]?.string == "text.lineTooLong")
      #expect(found[1]["turn"]?.int == 1)
    }

    @Test func inputThatCannotBeReadIsAnError() throws {
      let bundle = try ChatModels.shared.get().bundles[1]
      let source = PreparedModels.source
      for (command, words) in [
        ("\"$tool\" tokenize \"$1\"", [source]), ("\"$tool\" detokenize \"$1\"", [source]),
        ("\"$tool\" tokenize \"$1\" --json-lines", [source]),
        ("\"$run\" chat \"$1\"", [bundle]), ("cd \"$1\" && \"$run\"", [bundle]),
      ] {
        for (redirection, status, reason) in [
          ("< /", Int32(74), "cannot read standard input: "), ("<&-", 66, "input is closed"),
        ] {
          let run = try bash("\(command) \(redirection)", words)
          #expect(run.status == status, "\(command) \(redirection): \(run.errors)")
          #expect(run.output.isEmpty && run.errors.contains("error: "))
          #expect(run.errors.contains(reason), "\(run.errors)")
        }
      }
      // A real end is none.
      let empty = try bash("\"$tool\" tokenize \"$1\" < /dev/null", [source])
      #expect(empty.status == 0 && empty.output == "\n")
      let json = try bash("\"$run\" chat \"$1\" --json < /", [bundle])
      #expect(json.status == 74 && json.output.split(separator: "\n").count == 1)
    }
  }
}
