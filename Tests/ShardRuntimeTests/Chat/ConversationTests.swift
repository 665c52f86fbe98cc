import ShardRuntime
import StrictJSON
import TensorCore
import TestSupport
import Testing
import Tokenization

/// Chats with a model that answers "abcdef" to everything.
@Suite struct ConversationTests {
  private static let template =
    "{% for m in messages %}{% if m.role == 'user' %}<u>{{ m.content }}"
    + "{% elif m.role == 'assistant' %}<m>{{ m.content }}<e>"
    + "{% else %}{{ raise_exception('no ' ~ m.role) }}{% endif %}{% endfor %}"
    + "{% if add_generation_prompt %}<m>{% endif %}"

  /// The answer begins behind token 0, and the model counts on from there.
  private static func tokenizer() throws -> Tokenizer {
    let vocabulary = ["<m>", "a", "b", "c", "d", "e", "f", "<e>", "<u>"]
    let words = vocabulary.enumerated().map { #""\#($1)":\#($0)"# }
    let added = vocabulary.enumerated().filter { $1.hasPrefix("<") }.map { index, text in
      #"{"id":\#(index),"content":"\#(text)","special":true,"normalized":false}"#
    }
    let json =
      #"{"added_tokens":[\#(added.joined(separator: ","))],"#
      + #""model":{"type":"BPE","vocab":{\#(words.joined(separator: ","))},"merges":[]},"#
      + #""decoder":{"type":"Fuse"}}"#
    return try Tokenizer.load(files: ["tokenizer.json": Array(json.utf8)])
  }

  private func conversation(
    _ runner: CountingRunner, context: Int = 60, modelContext: Int? = nil,
    template: String = Self.template, settings: Conversation.Settings = .init()
  ) throws -> Conversation {
    Conversation(
      runner: runner,
      limits: SequenceLimits(context: context, vocabularySize: 9, modelContext: modelContext),
      format: ChatFormat(
        tokenizer: try Self.tokenizer(), template: try ChatTemplate(template, name: "test")),
      settings: settings)
  }

  @Test func onlyWhatDiffersIsComputed() throws {
    let runner = CountingRunner(vocabularySize: 9)
    var chat = try conversation(runner)
    let first = try chat.answer("cab")
    #expect(first.tokenIds == [1, 2, 3, 4, 5, 6, 7] && first.text == "abcdef")
    #expect(first.finishReason == .stop)
    #expect(runner.runs.first?.ids == [8, 3, 1, 2, 0] && first.timings.keptTokens == 0)
    let count = runner.runs.count
    let second = try chat.answer("b")
    #expect(second.text == "abcdef")
    #expect(runner.runs[count].ids == [7, 8, 2, 0] && runner.runs[count].firstPosition == 11)
    #expect(second.timings.keptTokens == 11 && second.timings.promptTokens == 15)
    #expect(
      chat.messages == [
        ChatMessage(role: "user", content: "cab"),
        ChatMessage(role: "assistant", content: "abcdef"), ChatMessage(role: "user", content: "b"),
        ChatMessage(role: "assistant", content: "abcdef"),
      ])
    // A new chat shares the first token and the letters that happen to agree.
    chat.restart()
    #expect(chat.messages.isEmpty)
    let third = try chat.answer("ca")
    #expect(third.timings.keptTokens == 3 && third.text == "abcdef")
    #expect(runner.resets == 1)
  }

  @Test func aPromptSeenBeforeStillRunsItsLastToken() throws {
    let runner = CountingRunner(vocabularySize: 9)
    var chat = try conversation(runner)
    _ = try chat.answer("a")
    chat.restart()
    let again = try chat.answer("a")
    #expect(again.timings.keptTokens == 2 && again.tokenIds == [1, 2, 3, 4, 5, 6, 7])
  }

  @Test func cachesThatCannotGoBackAreFilledAnew() throws {
    let runner = CountingRunner(vocabularySize: 9)
    runner.canRewind = false
    var chat = try conversation(runner)
    _ = try chat.answer("cab")
    let count = runner.runs.count
    let second = try chat.answer("b")
    #expect(runner.runs[count].firstPosition == 0 && runner.runs[count].ids.count == 15)
    #expect(second.timings.keptTokens == 0 && second.text == "abcdef")
  }

  @Test func interruptedAnswersStay() throws {
    var chat = try conversation(CountingRunner(vocabularySize: 9))
    var count = 0
    let cut = try chat.answer("a") { _ in
      count += 1
      return count < 3
    }
    #expect(cut.finishReason == .interrupted && chat.messages.last?.content == "abc")
    let next = try chat.answer("b")
    // <u>a<m>ab are in the caches; c had been sampled but never run.
    #expect(next.text == "abcdef" && next.timings.keptTokens == 5)
  }

  @Test func settingsAreKept() throws {
    let settings = Conversation.Settings(maximumTokens: 2, stopIds: [5])
    var chat = try conversation(CountingRunner(vocabularySize: 9), settings: settings)
    #expect(try chat.answer("a").finishReason == .length)
    #expect(chat.messages.last?.content == "ab")
    let longer = Conversation.Settings(stopIds: [5])
    var other = try conversation(CountingRunner(vocabularySize: 9), settings: longer)
    let stopped = try other.answer("a")
    #expect(stopped.tokenIds == [1, 2, 3, 4, 5] && stopped.text == "abcd")
  }

  @Test func aRefusalLeavesTheChatAsItWas() throws {
    let runner = CountingRunner(vocabularySize: 9)
    var chat = try conversation(runner, settings: Conversation.Settings(system: "hi"))
    #expect(throws: TokenizationFault.self) { try chat.answer("a") }
    #expect(chat.messages.map(\.role) == ["system"] && runner.runs.isEmpty)
  }

  @Test func aFullContextIsExplained() throws {
    func fault(_ context: Int, _ modelContext: Int) throws -> String {
      var chat = try conversation(
        CountingRunner(vocabularySize: 9), context: context, modelContext: modelContext)
      let last = try chat.answer("cab")
      #expect(last.finishReason == .stop)
      let messages = chat.messages
      let fault = try #require(throws: GenerationFault.self) { try chat.answer("abcabcabc") }
      #expect(fault.exitStatus == .doesNotFit && chat.messages == messages)
      chat.restart()
      #expect(try chat.answer("cab").text == "abcdef")
      return fault.message
    }
    #expect(try fault(20, 100).contains("--context 23 or more"))
    #expect(try fault(20, 22).contains("22 positions at most (--context 22)"))
    #expect(try fault(20, 20).hasSuffix("the model has no more positions"))
    var chat = try conversation(CountingRunner(vocabularySize: 9), context: 7)
    #expect(try chat.answer("a").finishReason == .context)
  }

  /// A new chat would not help, so nobody is told to begin one.
  @Test func aMessageThatNoChatHoldsIsNamed() throws {
    let limits = (context: 20, modelContext: 100)
    var chat = try conversation(
      CountingRunner(vocabularySize: 9), context: limits.context,
      modelContext: limits.modelContext)
    _ = try chat.answer("cab")
    let long = String(repeating: "abc", count: 10)
    let fault = try #require(throws: GenerationFault.self) { try chat.answer(long) }
    #expect(fault.exitStatus == .doesNotFit)
    #expect(fault.message.hasPrefix("this message alone comes to 32 tokens"), "\(fault.message)")
    #expect(fault.message.contains("20 positions") && fault.message.contains("--context 32"))
    #expect(!fault.message.contains("new chat"))

    let template = "{% for m in messages %}{{ m.content }}<u>{% endfor %}"
    var told = try conversation(
      CountingRunner(vocabularySize: 9), context: limits.context, template: template,
      settings: Conversation.Settings(system: long))
    let system = try #require(throws: GenerationFault.self) { try told.answer("a") }
    #expect(
      system.message.hasPrefix("the system's message alone comes to 32"), "\(system.message)")
    let format = ChatFormat(
      tokenizer: try Self.tokenizer(), template: try ChatTemplate(template, name: "test"))
    try format.check(system: "ab", date: nil, context: 20, modelContext: nil)
    #expect(throws: GenerationFault.self) {
      try format.check(system: long, date: nil, context: 20, modelContext: nil)
    }
  }

  @Test func aTemplateThatWritesNothingIsNamed() throws {
    let template = "{{ '' }}"
    var chat = try conversation(CountingRunner(vocabularySize: 9), template: template)
    let fault = try #require(throws: GenerationFault.self) { try chat.answer("a") }
    #expect(fault.code == "generation.emptyChat" && fault.exitStatus == .badData)
    #expect(fault.message.contains("--template") && !fault.message.contains("--token-ids"))
    let format = ChatFormat(
      tokenizer: try Self.tokenizer(), template: try ChatTemplate(template, name: "test"))
    #expect(throws: GenerationFault.self) {
      try format.check(system: nil, date: nil, context: 20, modelContext: nil)
    }
  }

  @Test func lossesEndNothingButTheAnswer() throws {
    let runner = CountingRunner(vocabularySize: 9)
    var chat = try conversation(runner)
    runner.failsAtRun = 2
    #expect(throws: CountingRunner.Broken.self) { try chat.answer("a") }
    runner.failsAtRun = nil
    #expect(try chat.answer("a").timings.keptTokens == 0)
  }
}
