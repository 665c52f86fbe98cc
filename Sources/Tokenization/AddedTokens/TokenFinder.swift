/// Finds added tokens in text: leftmost, of those the longest.
struct TokenFinder: Sendable {
  private var trie = ByteTrie()
  private var tokens: [AddedToken] = []

  var isEmpty: Bool { tokens.isEmpty }

  /// Adds a token under the text by which it is found; of two with the same text the later holds.
  mutating func add(_ token: AddedToken, foundAs text: [UInt8]) {
    guard !text.isEmpty else { return }
    trie.insert(text, value: Int32(tokens.count))
    tokens.append(token)
  }

  /// A part of a text: a token, or what lies between.
  struct Part {
    var start: Int
    var end: Int
    var token: Int32?
  }

  /// Cuts a text at the tokens in it.
  func parts(_ text: [UInt8]) -> [Part] {
    var parts: [Part] = []
    var written = 0
    var offset = 0
    while offset < text.count {
      guard trie.canBegin(text[offset]),
        let (length, index) = trie.longestMatch(text.span, offset, text.count)
      else {
        offset += 1
        continue
      }
      let token = tokens[index]
      var start = offset
      var end = offset + length
      offset = end
      if token.isSingleWord, !standsAlone(text, start, end) { continue }
      if token.stripsLeft { start = max(written, startOfSpace(text, before: start)) }
      if token.stripsRight { end = endOfSpace(text, after: end) }
      if written < start { parts.append(Part(start: written, end: start, token: nil)) }
      parts.append(Part(start: start, end: end, token: token.id))
      written = end
    }
    if written < text.count { parts.append(Part(start: written, end: text.count, token: nil)) }
    return parts
  }

  private func standsAlone(_ text: [UInt8], _ start: Int, _ end: Int) -> Bool {
    if start > 0, RustWord.set.contains(UTF8Text.scalar(text, before: start).value) { return false }
    return end == text.count || !RustWord.set.contains(UTF8Text.scalar(text, end).value)
  }

  private func startOfSpace(_ text: [UInt8], before end: Int) -> Int {
    var start = end
    while start > 0 {
      let (scalar, length) = UTF8Text.scalar(text, before: start)
      guard GeneralCategories.shared.contains(.whiteSpace, scalar) else { break }
      start -= length
    }
    return start
  }

  private func endOfSpace(_ text: [UInt8], after start: Int) -> Int {
    var end = start
    while end < text.count {
      let (scalar, length) = UTF8Text.scalar(text, end)
      guard GeneralCategories.shared.contains(.whiteSpace, scalar) else { break }
      end += length
    }
    return end
  }
}
