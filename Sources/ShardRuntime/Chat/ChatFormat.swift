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
