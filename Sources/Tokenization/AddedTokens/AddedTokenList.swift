import StrictJSON

/// Added tokens as they are collected from files, each id and each content once.
struct AddedTokenList: Sendable {
  private(set) var tokens: [AddedToken] = []
  private var indexByContent: [[UInt8]: Int] = [:]
  private var indexByID: [Int32: Int] = [:]

  subscript(content: [UInt8]) -> AddedToken? { indexByContent[content].map { tokens[$0] } }

  subscript(id: Int32) -> AddedToken? { indexByID[id].map { tokens[$0] } }

  /// Adds a token; one of the same content takes on the new flags.
  ///
  /// - Parameter known: the model's token with the same id.
  mutating func add(
    _ token: AddedToken, known: [UInt8]?, file: String
  ) throws(TokenizationFault) {
    guard token.content.count <= AddedToken.maximumByteCount else {
      throw .malformed(
        file,
        "an added token has \(token.content.count) bytes, more than "
          + "\(AddedToken.maximumByteCount)")
    }
    guard token.id >= 0, token.id < 1 << 24 else {
      throw .malformed(file, "the added token \(token.name) has the id \(token.id)")
    }
    if let other = self[token.id], other.content != token.content {
      throw .malformed(
        file, "the added tokens \(other.name) and \(token.name) have the same id \(token.id)")
    }
    if let known, known != token.content {
      let name = Excerpt.quoted(String(decoding: known, as: UTF8.self))
      throw .malformed(
        file, "the added token \(token.name) has the id \(token.id), which is that of \(name)")
    }
    if let index = indexByContent[token.content] {
      guard tokens[index].id == token.id else {
        throw .malformed(
          file, "the added token \(token.name) has the ids \(tokens[index].id) and \(token.id)")
      }
      tokens[index] = token
    } else {
      indexByContent[token.content] = tokens.count
      indexByID[token.id] = tokens.count
      tokens.append(token)
    }
  }
}
