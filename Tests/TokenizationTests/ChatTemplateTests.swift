import StrictJSON
import TensorCore
import TestSupport
import Testing
import Tokenization

/// Chat templates against renderings by Hugging Face's library, and what is refused.
@Suite struct ChatTemplateTests {
  private static let golden: JSONValue = {
    let bytes = (try? InputFile.contents(of: Places.fixture("chat-templates/golden.json"))) ?? []
    return (try? JSONParsing().parse(bytes)) ?? .null
  }()

  private func rendering(
    _ source: String, _ names: [String: JSONValue] = [:], date: ChatDate? = nil
  ) -> Result<String, TokenizationFault> {
    do throws(TokenizationFault) {
      return .success(try ChatTemplate(source, name: "test").render(variables: names, date: date))
    } catch {
      return .failure(error)
    }
  }

  private func compare(
    _ result: Result<String, TokenizationFault>, _ entry: JSONValue, _ what: String
  ) {
    if let expected = entry["text"]?.string {
      switch result {
      case .success(let text): #expect(Array(text.utf8) == Array(expected.utf8), "\(what): \(text)")
      case .failure(let fault):
        // The library prints a list as Python writes it; here that is refused.
        #expect(expected.contains("[{'type'"), "\(what): \(fault.message)")
        #expect(fault.message.contains("a list as text"))
      }
    } else if case .success(let text) = result {
      Issue.record("\(what): rendered \(text) where the library refuses")
    } else if case .failure(let fault) = result {
      #expect(fault.exitStatus == .badData)
      #expect(fault.code.hasPrefix("tokenization.chatTemplate"))
    }
  }

  private func date() throws -> ChatDate {
    let parts = try #require(Self.golden["date"]?.array).compactMap(\.int)
    return ChatDate(
      year: parts[0], month: parts[1], day: parts[2], hour: parts[3], minute: parts[4],
      second: parts[5])
  }

  /// Every family's chats; what the library's template refuses is refused here.
  @Test func chatsOfEveryFamily() throws {
    let cases = try #require(Self.golden["cases"]?.array)
    let tokens = try #require(Self.golden["tokens"]?.object)
    #expect(cases.count > 300)
    for entry in cases {
      let template = try #require(entry["template"]?.string)
      let chat = try #require(entry["chat"]?.string)
      let source = try #require(Self.golden["templates"]?[template]?.string)
      var names: [String: JSONValue] = ["tools": .null, "documents": .null]
      for (name, value) in tokens.members { names[name] = value }
      for (name, value) in try #require(Self.golden["chats"]?[chat]?.object).members {
        names[name] = value
      }
      names["add_generation_prompt"] = entry["prompt"]
      compare(rendering(source, names, date: try date()), entry, "\(template), \(chat)")
    }
  }

  @Test func smallTemplates() throws {
    let entries = try #require(Self.golden["small"]?.array)
    let names = try #require(Self.golden["small_names"]?.object)
    #expect(entries.count > 90)
    for entry in entries {
      let source = try #require(entry["source"]?.string)
      let result = rendering(
        source, Dictionary(uniqueKeysWithValues: names.members.map { ($0, $1) }),
        date: try date())
      compare(result, entry, source)
    }
  }

  @Test func messagesAndTokens() throws {
    let source = try #require(Self.golden["templates"]?["llama31"]?.string)
    let template = try ChatTemplate(source, name: "llama31")
    let messages = [
      ChatMessage(role: "system", content: " Be brief. "), ChatMessage(role: "user", content: "Hi"),
    ]
    let tokens = ["bos_token": "<b>"]
    let prompt = try template.render(
      messages: messages, addGenerationPrompt: true, specialTokens: tokens)
    #expect(prompt.hasPrefix("<b><|start_header_id|>system<|end_header_id|>\n\nCutting"))
    #expect(prompt.contains("Today Date: 26 Jul 2024\n\nBe brief.<|eot_id|>"))
    #expect(prompt.hasSuffix("Hi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"))
    let dated = try template.render(
      messages: messages, addGenerationPrompt: false, specialTokens: tokens,
      date: ChatDate(year: 2026, month: 11, day: 3))
    #expect(dated.contains("Today Date: 03 Nov 2026\n\n"))
  }

  @Test func ofATokenizer() throws {
    let model =
      #"{"added_tokens":[],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#
    func template(_ value: String) throws -> ChatTemplate? {
      let settings = #"{"bos_token":"<s>","chat_template":\#(value)}"#
      let tokenizer = try Tokenizer.load(files: [
        "tokenizer.json": Array(model.utf8), "tokenizer_config.json": Array(settings.utf8),
      ])
      #expect(tokenizer.specialTokenTexts["bos_token"] == "<s>")
      return try tokenizer.chatTemplate
    }
    let named = #"[{"name":"rag","template":"b"},{"name":"default","template":"a"}]"#
    #expect(try template("null") == nil)
    #expect(try template(#""a""#)?.render(messages: [], addGenerationPrompt: true) == "a")
    #expect(try template(named)?.render(messages: [], addGenerationPrompt: true) == "a")
    #expect(throws: TokenizationFault.self) { try template(#""{% include 'x' %}""#) }
    for value in ["5", "true", "{}", #"["a"]"#, #"[{"name":"default","template":5}]"#] {
      let fault = #expect(throws: TokenizationFault.self) { try template(value) }
      #expect(fault?.exitStatus == .badData)
      #expect(fault?.message.contains("chat_template") == true, "\(fault?.message ?? "")")
    }
    let fault = #expect(throws: TokenizationFault.self) {
      try Tokenizer.load(files: [
        "tokenizer.json": Array(model.utf8), "chat_template.jinja": [0x61, 0xFF],
      ])
    }
    #expect(fault?.message.contains("chat_template.jinja") == true)
  }

  @Test(arguments: [
    ("{{ m.content }}<|im_end|>\n", "<|im_end|>"), ("{{ m.content | trim }} </s>", "</s>"),
    ("{{ m.content }}\n\n<|end|><|next|>", "<|end|>"), ("{{ m.content }}\n", nil),
    ("{{ m.content }}a<|end|>", nil), ("{{ raise_exception('no') }}", nil), ("{{ m.role }}", nil),
  ])
  func theTokenBehindAnAnswerIsFound(_ turn: String, _ end: String?) throws {
    let added = ["<|im_end|>", "</s>", "<|end|>", "<|next|>"].enumerated().map { index, text in
      #"{"id":\#(index + 1),"content":"\#(text)","special":true,"normalized":false}"#
    }
    let model =
      #"{"added_tokens":[\#(added.joined(separator: ","))],"#
      + #""model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#
    let tokenizer = try Tokenizer.load(files: ["tokenizer.json": Array(model.utf8)])
    let template = try ChatTemplate(
      "{% for m in messages %}<{{ m.role }}>\(turn){% endfor %}", name: "test")
    let id = template.endOfTurn(tokenizer)
    #expect(id.flatMap { tokenizer.token(of: $0) } == end)
  }

  // MARK: - Refusals

  @Test(arguments: [
    ("{% include 'a' %}", "'include'"), ("{% block b %}", "'block'"), ("{% raw %}", "'raw'"),
    ("{% call m() %}", "'call'"), ("{% with a = 1 %}", "'with'"), ("{% do x %}", "'do'"),
    ("{{ x | sort }}", "'sort'"), ("{{ x is callable }}", "'callable'"), ("{{ 2 ** 3 }}", "**"),
    ("{% for a in b recursive %}", "recursive"), ("{% set a, b = 1 %}", "several names"),
    ("{{ 'a'.zfill(3) }}", "zfill"), ("{{ {}.pop('a') }}", "pop"), ("{{ 'a' * 3 }}", "'*'"),
    ("{{ 'a' % 3 }}", "'%'"), ("{{ [1] }}", "a list as text"), ("{{ {} }}", "a dictionary"),
    ("{{ x.__class__ }}", "__class__"), ("{{ cycler('a') }}", "cycler"), ("{{ f(*a) }}", "*"),
    ("{% for a in [1] %}{{ loop.cycle(1) }}{% endfor %}", "cycle"), ("{{ {1: 2} }}", "key"),
    ("{{ '\\N{DASH}' }}", "\\N"), ("{{ 0x1F }}", "number"), ("{{ 1, 2 }}", "tuple"),
    ("{{ [1] | tojson(separators=1) }}", "separators"), ("{{ lipsum() }}", "lipsum"),
    ("{{ {}.items }}", "items"), ("{{ 'a'.split(sep=',') }}", "split"),
    ("{{ strftime_now('%j') }}", "%j"), ("{{ 'a' | map('sort') | list }}", "map"),
  ])
  func unsupportedConstructsAreNamed(_ source: String, _ name: String) {
    let date = ChatDate(year: 2026, month: 1, day: 1)
    guard case .failure(let fault) = rendering(source, date: date) else {
      Issue.record("accepted: \(source)")
      return
    }
    let bare = name.split(separator: "'").joined()
    #expect(fault.code == "tokenization.chatTemplateUnsupported", "\(source): \(fault.message)")
    #expect(fault.exitStatus == .badData)
    #expect(fault.message.contains(bare), "\(fault.message) does not name \(name)")
  }

  private static let excessive: [String] = [
    "{% for a in range(20000) %}{% for b in range(20000) %}{% endfor %}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% set n = namespace(x='aaaaaaaaaaaaaaaa') %}{% for a in range(60) %}"
      + "{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x=[1]) %}{% for a in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% set n = namespace(x=[]) %}{% for a in range(900) %}{% set n.x = [n.x] %}{% endfor %}",
    "{% set n = namespace(x='a') %}{% for a in range(99) %}"
      + "{% set n.x = n.x | replace('a', 'aaaaaaaaaaaaaaaaaaaa') %}{% endfor %}",
    "{% set n = namespace(x=[1]) %}{% for a in range(60) %}{% set n.x = [n.x, n.x] %}"
      + "{% endfor %}{{ n.x | tojson }}",
    "{{ " + String(repeating: "(", count: 5000) + "1" + String(repeating: ")", count: 5000) + "}}",
    "{{ " + String(repeating: "[", count: 5000) + "1" + String(repeating: "]", count: 5000) + "}}",
    "{{ 1" + String(repeating: " + 1", count: 5000) + " }}",
    "{{ 1" + String(repeating: " if 1 else 2", count: 5000) + " }}",
    "{{ " + String(repeating: "not ", count: 5000) + "1 }}",
    "{{ a" + String(repeating: ".a", count: 5000) + " }}",
    String(repeating: "{% if 1 %}", count: 5000), String(repeating: "a", count: 1 << 21),
    "{{ 9223372036854775807 + 1 }}",
  ]

  @Test(arguments: excessive.indices) func workIsBounded(_ index: Int) {
    guard case .failure(let fault) = rendering(Self.excessive[index]) else {
      Issue.record("accepted: \(Self.excessive[index].prefix(80))")
      return
    }
    #expect(fault.code == "tokenization.chatTemplateExcess", "\(fault.message)")
  }

  @Test func faultsNameTheLine() {
    guard case .failure(let fault) = rendering("a\nb\n{{ 1 }}{{ x.y }}\n") else {
      Issue.record("accepted")
      return
    }
    #expect(fault.message.contains("test, line 3:"))
    guard case .failure(let refusal) = rendering("\n{{ raise_exception('no\\nway') }}") else {
      Issue.record("accepted")
      return
    }
    #expect(refusal.code == "tokenization.chatTemplateRefused")
    #expect(refusal.message.contains("line 2"))
  }

  /// Any prefix of a template renders or is refused, and never stops the program.
  @Test func prefixes() throws {
    let names = try #require(Self.golden["chats"]?["tool chat"]?.object)
    let variables = Dictionary(uniqueKeysWithValues: names.members.map { ($0, $1) })
    for (_, template) in try #require(Self.golden["templates"]?.object).members {
      let source = Array((template.string ?? "").unicodeScalars)
      for count in stride(from: 0, to: source.count, by: 7) {
        var prefix = String.UnicodeScalarView()
        prefix.append(contentsOf: source[..<count])
        _ = rendering(String(prefix), variables)
      }
    }
  }
}
