/// The added tokens of a tokenizer: those found in raw text and those found in normalized text.
struct AddedVocabulary: Sendable {
  private(set) var raw = TokenFinder()
  private(set) var normalized = TokenFinder()
  private var idByContent: [[UInt8]: Int32] = [:]
  private var tokenByID: [Int32: AddedToken] = [:]
  /// What stands for a token when it is decoded: its normalized content if that is matched.
  private var textByID: [Int32: [UInt8]] = [:]
  private var specialTexts: Set<[UInt8]> = []

  init(_ tokens: [AddedToken], normalizer: Normalizer?) {
    for token in tokens where !token.content.isEmpty {
      idByContent[token.content] = token.id
      tokenByID[token.id] = token
      textByID[token.id] = token.content
      if token.isNormalized, let normalizer {
        textByID[token.id] = normalizer.normalize(token.content)
      }
      if token.isSpecial { specialTexts.insert(token.content) }
    }
    for token in tokens where tokenByID[token.id]?.content == token.content {
      guard let text = textByID[token.id] else { continue }
      if token.isNormalized {
        normalized.add(token, foundAs: text)
      } else {
        raw.add(token, foundAs: text)
      }
    }
  }

  var largestID: Int32 { tokenByID.keys.max() ?? -1 }

  func id(of content: [UInt8]) -> Int32? { idByContent[content] }

  func content(of id: Int32) -> [UInt8]? { tokenByID[id]?.content }

  /// The text of a token for decoding.
  func text(of id: Int32) -> [UInt8]? { textByID[id] }

  /// Whether a token's text is that of a special token.
  func isSpecial(_ text: [UInt8]) -> Bool { specialTexts.contains(text) }
}
