import Tokenization

/// How a model writes chats: its tokenizer and its template.
public struct ChatFormat: Sendable {
  public let tokenizer: Tokenizer
  private let template: ChatTemplate
  /// The token that ends an answer in the template; nil where none stands there.
  let endOfTurn: Int32?

  public init(tokenizer: Tokenizer, template: ChatTemplate) {
    self.tokenizer = tokenizer
    self.template = template
    endOfTurn = template.endOfTurn(tokenizer)
  }

  /// The template's name, for faults.
  var templateName: String { template.name }

  /// Tries the template on a first message, before a model is loaded for it.
  ///
  /// - Parameter context: positions that were planned for; the model itself has `modelContext`.
  /// Throws: `TokenizationFault` where the template refuses the chat, `GenerationFault` where it
  ///   writes nothing or the system's message is too long.
  public func check(
    system: String?, date: ChatDate?, context: Int, modelContext: Int?
  ) throws {
    let told = system.map { [ChatMessage(role: "system", content: $0)] } ?? []
    let ids = try prompt(told + [ChatMessage(role: "user", content: "Hello")], date: date)
    guard !ids.isEmpty else { throw GenerationFault.emptyChat(template: templateName) }
    let limits = SequenceLimits(
      context: context, vocabularySize: tokenizer.vocabularySize, modelContext: modelContext)
    if let fault = systemTooLong(told, date: date, limits: limits) { throw fault }
  }

  /// Nil where the messages that a chat begins with leave room for others.
  func systemTooLong(
    _ beginning: [ChatMessage], date: ChatDate?, limits: SequenceLimits
  ) -> GenerationFault? {
    guard !beginning.isEmpty,
      let ids = try? prompt(beginning + [ChatMessage(role: "user", content: "")], date: date),
      ids.count > limits.context
    else { return nil }
    return .messageTooLong("the system's message", tokens: ids.count, limits: limits)
  }

  /// The ids of a chat up to where an answer begins. The template writes special tokens itself.
  ///
  /// Throws: `TokenizationFault` where the template refuses the chat or uses an unknown construct.
  public func prompt(
    _ messages: [ChatMessage], date: ChatDate?
  ) throws(TokenizationFault) -> [Int32] {
    let text = try template.render(
      messages: messages, addGenerationPrompt: true,
      specialTokens: tokenizer.specialTokenTexts, date: date)
    return tokenizer.encode(text, addSpecialTokens: false)
  }
}
