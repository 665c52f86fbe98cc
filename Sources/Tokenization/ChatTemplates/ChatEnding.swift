extension ChatTemplate {
  /// The special token that the template writes behind an answer, such as `<|im_end|>`.
  ///
  /// A model ends its answers with it, whether its settings name it or not.
  ///
  /// - Returns: nil where something else follows an answer.
  public func endOfTurn(_ tokenizer: Tokenizer) -> Int32? {
    let answer = "the-answer-ends-here"
    let messages = [
      ChatMessage(role: "user", content: "?"), ChatMessage(role: "assistant", content: answer),
    ]
    guard
      let text = try? render(
        messages: messages, addGenerationPrompt: false,
        specialTokens: tokenizer.specialTokenTexts)
    else { return nil }
    let scalars = Array(text.unicodeScalars)
    let marker = Array(answer.unicodeScalars)
    let starts = stride(from: scalars.count - marker.count, through: 0, by: -1)
    guard let start = starts.first(where: { scalars[$0...].starts(with: marker) }) else {
      return nil
    }
    var rest = String.UnicodeScalarView()
    rest.append(contentsOf: scalars[(start + marker.count)...].drop { $0.properties.isWhitespace })
    let first = tokenizer.encode(String(rest), addSpecialTokens: false).first
    return first.flatMap { tokenizer.isSpecial($0) ? $0 : nil }
  }
}
