import Tokenization

extension FuzzTarget {
  static let tokenizers: [FuzzTarget] = [
    FuzzTarget("tokenizer-json") { bytes, _ in
      try use(Tokenizer.load(files: ["tokenizer.json": bytes]))
    },
    FuzzTarget("tokenizer-model") { bytes, _ in
      try use(Tokenizer.load(files: ["tokenizer.model": bytes]))
    },
    FuzzTarget("chat-template", maximumByteCount: 1024) { bytes, _ in
      let template = try ChatTemplate(String(decoding: bytes, as: UTF8.self), name: "template")
      let messages = [
        ChatMessage(role: "system", content: "Be brief."),
        ChatMessage(role: "user", content: "Hello <there>\n"),
        ChatMessage(role: "assistant", content: "Hi."),
        ChatMessage(role: "user", content: "Again!"),
      ]
      _ = try template.render(
        messages: messages, addGenerationPrompt: true,
        specialTokens: ["bos_token": "<s>", "eos_token": "</s>"])
    },
  ]

  private static let text = "Hello  w\u{F6}rld 12<s>\n\u{65E5}\u{672C} don't \u{1F600}e\u{301}"

  private static func use(_ tokenizer: Tokenizer) throws {
    let ids = tokenizer.encode(text, addSpecialTokens: true)
    _ = try tokenizer.decode(ids, skipSpecialTokens: false)
  }
}
