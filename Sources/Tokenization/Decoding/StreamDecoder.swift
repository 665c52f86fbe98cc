/// Turns ids into text as they come, never giving out part of a character.
///
/// What it gives out, joined, is what decoding all ids at once gives.
public struct StreamDecoder: Sendable {
  private enum State: Sendable {
    case stages([DecodingStage], separator: [UInt8], isFirst: Bool)
    case pieces(PieceDecoder)
  }

  private let tokenizer: Tokenizer
  private let skipsSpecialTokens: Bool
  private var state: State

  init(_ tokenizer: Tokenizer, skipsSpecialTokens: Bool) {
    self.tokenizer = tokenizer
    self.skipsSpecialTokens = skipsSpecialTokens
    switch tokenizer.model {
    case .sentencePiece(let model): state = .pieces(PieceDecoder(model))
    case .bytePairs:
      state = .stages(
        tokenizer.decoder.makeStages(), separator: tokenizer.decoder.separator, isFirst: true)
    }
  }

  /// Takes an id and returns the text that is certain now; an id without a token gives none.
  public mutating func feed(_ id: Int32) -> String {
    var text: [UInt8] = []
    feed(id, into: &text)
    return String(decoding: text, as: UTF8.self)
  }

  /// Returns what was held back, and begins anew.
  public mutating func finish() -> String {
    var text: [UInt8] = []
    finish(into: &text)
    self = StreamDecoder(tokenizer, skipsSpecialTokens: skipsSpecialTokens)
    return String(decoding: text, as: UTF8.self)
  }

  mutating func feed(_ id: Int32, into text: inout [UInt8]) {
    guard let token = tokenizer.decodingText(of: id) else { return }
    if skipsSpecialTokens, tokenizer.isSpecial(id, token) { return }
    switch state {
    case .pieces(var decoder):
      if tokenizer.added.text(of: id) != nil {
        decoder.feedLiteral(token, into: &text)
      } else {
        decoder.feed(id, into: &text)
      }
      state = .pieces(decoder)
    case .stages(var stages, let separator, let isFirst):
      // Taken out while it is changed, so that it need not be copied.
      state = .stages([], separator: separator, isFirst: false)
      if !isFirst { text += separator }
      Self.feed(token, &stages, 0, &text)
      state = .stages(stages, separator: separator, isFirst: false)
    }
  }

  mutating func finish(into text: inout [UInt8]) {
    switch state {
    case .pieces(var decoder): decoder.finish(into: &text)
    case .stages(var stages, _, _):
      for index in stages.indices {
        var released: [[UInt8]] = []
        stages[index].finish { released.append($0) }
        for token in released { Self.feed(token, &stages, index + 1, &text) }
      }
    }
  }

  private static func feed(
    _ token: [UInt8], _ stages: inout [DecodingStage], _ index: Int, _ text: inout [UInt8]
  ) {
    guard index < stages.count else {
      text += token
      return
    }
    var released: [[UInt8]] = []
    stages[index].feed(token) { released.append($0) }
    for token in released { feed(token, &stages, index + 1, &text) }
  }
}
