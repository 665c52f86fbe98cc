import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

extension EndToEnd {
  /// `shardrun chat` with input from a pipe.
  @Suite struct Chats {
    private func ids(_ text: String) throws -> String {
      let run = try ProgramRun.run("shardtool", ["tokenize", PreparedModels.source], input: text)
      return run.output.split { !$0.isNumber }.joined(separator: ",")
    }

    /// Every answer has the tokens of `generate` behind the same prompt, and a new process.
    private func expectFreshRuns(
      _ bundle: String, _ messages: [String], system: String = "", options: [String] = [],
      maximum: Int = 400
    ) throws -> [JSONValue] {
      let told = system.isEmpty ? [] : ["--system", system]
      let run = try shardrun(
        ["chat", bundle, "--json", "--max-tokens", "\(maximum)"] + told + options,
        input: messages.joined(separator: "\n") + "\n")
      let found = try answers(run.output)
      #expect(found.count == messages.count)
      var turns: [(String, String)] = []
      for (message, answer) in zip(messages, found) {
        #expect(try violations(of: "shardrun.chat", answer) == [])
        let prompt = try ids(ChatModels.prompt(system: system, turns, message))
        let fresh = try shardrun(
          ["generate", bundle, "--json", "--max-tokens", "\(maximum)", "--token-ids", prompt]
            + options)
        let expected = try JSONParsing().parse(fresh.output)
        #expect(answer["token_ids"] == expected["token_ids"])
        #expect(answer["text"] == expected["text"])
        #expect(answer["finish_reason"] == expected["finish_reason"])
        turns.append((message, answer["text"]?.string ?? ""))
      }
      return found
    }

    @Test func answersAreThoseOfFreshRuns() throws {
      let models = try ChatModels.shared.get()
      var all: [[JSONValue?]] = []
      for bundle in models.bundles {
        let found = try expectFreshRuns(bundle, ["a fox named Mia", "a stubborn owl"])
        let kept = found.map { $0["timings"]?["kept_tokens"]?.int ?? 0 }
        #expect(kept[0] == 0 && kept[1] > 60)
        #expect(found[1]["finish_reason"]?.string == "stop")
        let sampled = try expectFreshRuns(
          bundle, ["two foxes", "a hedgehog", "nobody"], system: "Max was a deer.",
          options: ["--temperature", "0.8", "--top-k", "40", "--seed", "5"], maximum: 40)
        all.append((found + sampled).map { $0["token_ids"] })
      }
      #expect(all[0] == all[1])
    }

    /// Caches of a window forget: some turns can go on where they were, others begin anew.
    @Test func windowsThatForgetAreNoticed() throws {
      let directory = try TemporaryDirectory()
      let config = directory.appending("config.json")
      let members = [
        #""model_type":"mistral","hidden_size":64,"intermediate_size":128,"vocab_size":1024"#,
        #""num_hidden_layers":3,"num_attention_heads":4,"num_key_value_heads":2"#,
        #""max_position_embeddings":512,"sliding_window":24,"rms_norm_eps":1e-5"#,
        #""rope_theta":10000.0,"tie_word_embeddings":false,"bos_token_id":1,"eos_token_id":2"#,
      ]
      try Directory.writeAtomically(
        Array("{\(members.joined(separator: ","))}".utf8), to: config)
      let checkpoint = directory.appending("checkpoint")
      let synthesis = try ProgramRun.run(
        "shardbench", ["synth", "--config", config, "--output", checkpoint, "--json"])
      try #require(synthesis.status == 0, "\(synthesis.errors)")
      #expect(
        try violations(of: "shardbench.synth", JSONParsing().parse(synthesis.output)) == [])
      for name in ["tokenizer.json", "tokenizer_config.json"] {
        try FileManager.default.copyItem(
          atPath: "\(PreparedModels.source)/\(name)", toPath: "\(checkpoint)/\(name)")
      }
      try ChatModels.setTemplate(.string(ChatModels.template), in: checkpoint)
      let bundle = try ChatModels.pack(
        checkpoint, nodes: 2, to: directory.appending("bundle"),
        planning: ["--prefill-chunk", "8"])
      // Nonsense is written differently when it is read back, so that prefixes end anywhere: with
      // long answers before the window, with short ones in it.
      for (maximum, keeps) in [(30, false), (4, true)] {
        let found = try expectFreshRuns(
          bundle, ["a", "b c", "d e f", "g", "h"], options: ["--temperature", "1"],
          maximum: maximum)
        let kept = found.map { $0["timings"]?["kept_tokens"]?.int ?? -1 }
        #expect(kept.contains { $0 > 31 } == keeps, "\(kept)")
      }
    }

    @Test func commandsAreFollowed() throws {
      let bundle = try ChatModels.shared.get().bundles[1]
      func chat(_ input: String, _ options: [String] = []) throws -> ProgramRun {
        try shardrun(["chat", bundle, "--max-tokens", "12"] + options, input: input)
      }
      let once = try chat("a fox\n", ["--quiet"])
      #expect(once.output.hasSuffix("\n") && once.output.count > 20 && once.errors.isEmpty)
      let anew = try chat("a fox\n/reset\n\n  a fox\n")
      let lines = anew.output.split(separator: "\n")
      #expect(lines.count == 2 && anew.output.hasPrefix(once.output))
      #expect(anew.errors.contains("a new chat begins") && anew.errors.contains("of them kept"))
      let ended = try chat("/help\na fox\n/exit\na fox\n")
      #expect(ended.output == once.output && ended.errors.contains("/reset"))
      // Whatever else begins with a slash is a message.
      #expect(try chat("/usr\n").output.count > 5)
      #expect(try chat("").output.isEmpty)
      let cut = try answers(try chat("a fox", ["--json"]).output)
      #expect(cut.first?["finish_reason"]?.string == "length")
      #expect(cut.first?["token_ids"]?.array?.count == 12)
    }

    @Test func messagesCanHaveSeveralLines() throws {
      let bundle = try ChatModels.shared.get().bundles[0]
      let options = ["chat", bundle, "--json", "--json-lines", "--max-tokens", "8"]
      let run = try shardrun(options, input: "\"a fox\\nand a deer\"\n\"/exit\"\n")
      let found = try answers(run.output)
      #expect(found.count == 2 && found[1]["turn"]?.int == 2)
      let prompt = try ids(ChatModels.prompt([], "a fox\nand a deer"))
      #expect(
        found[0]["timings"]?["prompt_tokens"]?.int == prompt.split(separator: ",").count)
      let bad = try ProgramRun.run("shardrun", options, input: "\"a\"\nb\n")
      #expect(bad.status == 65)
      let lines = bad.output.split(separator: "\n")
      try #require(lines.count > 1)
      #expect(lines[0].contains("\"turn\":1") && bad.output.contains("line 2 of standard input"))
    }

    @Test func aFullContextIsExplained() throws {
      let bundle = try ChatModels.shared.get().bundles[1]
      let run = try ProgramRun.run(
        "shardrun", ["chat", bundle, "--json"],
        input: String(repeating: "a fox named Mia\n", count: 8))
      #expect(run.status == 78, "\(run.errors)")
      let found = try answers(run.output)
      #expect(found.count > 3 && found.count < 9)
      let last = try #require(found.last)
      #expect(try violations(of: "shard.error", last) == [])
      let message = last["error"]?["message"]?.string ?? ""
      #expect(message.contains("512 positions") && message.contains("new chat"), "\(message)")
      #expect(found.dropLast().allSatisfy { $0["text"]?.string?.isEmpty == false })
    }

    @Test func anAnswerThatFillsTheContextIsExplained() throws {
      let directory = try TemporaryDirectory()
      let file = directory.appending("fable.jinja")
      try Directory.writeAtomically(Array(ChatModels.template.utf8), to: file)
      let bundle = try ChatModels.pack(
        PreparedModels.source, nodes: 2, to: directory.appending("bundle"),
        planning: ["--context", "64"])
      let run = try ProgramRun.run(
        "shardrun", ["chat", bundle, "--template", file], input: "a fox named Mia\na deer\n")
      #expect(run.status == 78 && run.output.split(separator: "\n").count == 1)
      #expect(run.errors.contains("the context of 64 positions is full; /reset begins"))
      #expect(run.errors.contains("error: the chat has come to"))
    }

    /// What no chat could hold is told before the model is loaded.
    @Test func chatsThatCannotBeginAreNotBegun() throws {
      let bundle = try ChatModels.shared.get().bundles[0]
      let long = String(repeating: "very ", count: 700)
      let system = try ProgramRun.run(
        "shardrun", ["chat", bundle, "--system", long], input: "a fox\n")
      #expect(system.status == 78 && system.output.isEmpty)
      #expect(system.errors.contains("error: the system's message alone comes to"))
      let message = try ProgramRun.run("shardrun", ["chat", bundle], input: long + "\n")
      #expect(message.status == 78 && message.output.isEmpty)
      #expect(message.errors.contains("error: this message alone comes to"))
      #expect(!message.errors.contains("new chat"), "\(message.errors)")
      let directory = try TemporaryDirectory()
      let file = directory.appending("empty.jinja")
      try Directory.writeAtomically([], to: file)
      let empty = try ProgramRun.run(
        "shardrun", ["chat", bundle, "--template", file], input: "a fox\n")
      #expect(empty.status == 65 && empty.errors.contains("empty.jinja writes nothing"))
    }

    /// generation_config.json may name several tokens, which end answers as the template's does.
    @Test func everyEndOfAnAnswerIsTaken() throws {
      let directory = try TemporaryDirectory()
      let usual = try answers(
        try shardrun(
          ["chat", try ChatModels.shared.get().bundles[0], "--json"], input: "a fox\n"
        ).output)
      let ids = try #require(usual[0]["token_ids"]?.array?.compactMap { $0.int })
      #expect(ids.last == 2)
      let end = ids[9]
      let checkpoint = directory.appending("checkpoint")
      try FileManager.default.copyItem(atPath: PreparedModels.source, toPath: checkpoint)
      try ChatModels.setTemplate(.string(ChatModels.template), in: checkpoint)
      try Directory.writeAtomically(
        Array(#"{"eos_token_id":[\#(end),3]}"#.utf8), to: checkpoint + "/generation_config.json")
      let bundle = try ChatModels.pack(checkpoint, nodes: 1, to: directory.appending("bundle"))
      let found = try answers(try shardrun(["chat", bundle, "--json"], input: "a fox\n").output)
      let cut = try #require(found[0]["token_ids"]?.array?.compactMap { $0.int })
      #expect(cut == Array(ids.prefix { $0 != end }) + [end])
      #expect(found[0]["finish_reason"]?.string == "stop")
      #expect(usual[0]["text"]?.string?.hasPrefix(found[0]["text"]?.string ?? "?") == true)
    }

    @Test func templatesComeFromWhereTheyLie() throws {
      let directory = try TemporaryDirectory()
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [6])
      func chat(_ bundle: String, _ options: [String] = []) throws -> ProgramRun {
        try ProgramRun.run(
          "shardrun", ["chat", bundle, "--max-tokens", "20", "--quiet"] + options,
          input: "a fox\n")
      }
      let expected = try chat(try ChatModels.shared.get().bundles[0]).output
      let none = try chat(bundle)
      #expect(none.status == 64 && none.errors.contains("no chat template"))
      #expect(none.errors.contains("--template FILE") && none.output.isEmpty)
      let file = directory.appending("my.jinja")
      try Directory.writeAtomically(Array(ChatModels.template.utf8), to: file)
      #expect(try chat(bundle, ["--template", file]).output == expected)
      #expect(try chat(bundle, ["--template", file + "x"]).status == 66)
      for (template, code, word) in [
        ("{% include 'x' %}", Int32(65), "\"include\""), ("{% if %}", 65, "line 1"),
        ("{{ raise_exception('not you') }}", 65, "not you"),
      ] {
        try Directory.writeAtomically(Array(template.utf8), to: file)
        let run = try chat(bundle, ["--template", file])
        #expect(run.status == code && run.errors.contains(word), "\(run.errors)")
        #expect(run.errors.contains("my.jinja") && run.output.isEmpty)
      }

      let checkpoint = directory.appending("checkpoint")
      try FileManager.default.copyItem(atPath: PreparedModels.source, toPath: checkpoint)
      let entry: JSONValue = ["name": "default", "template": .string(ChatModels.template)]
      try ChatModels.setTemplate([["name": "tools", "template": "x"], entry], in: checkpoint)
      let named = try ChatModels.pack(checkpoint, nodes: 1, to: directory.appending("named"))
      #expect(try chat(named).output == expected)
      try ChatModels.setTemplate([["name": "tools", "template": "x"]], in: checkpoint)
      let other = try ChatModels.pack(checkpoint, nodes: 1, to: directory.appending("other"))
      let unnamed = try chat(other)
      #expect(unnamed.status == 64 && unnamed.errors.contains("only tools"), "\(unnamed.errors)")
      try Directory.writeAtomically(
        Array(ChatModels.template.utf8), to: checkpoint + "/chat_template.jinja")
      let jinja = try ChatModels.pack(checkpoint, nodes: 1, to: directory.appending("jinja"))
      #expect(try chat(jinja).output == expected)
    }
  }
}
