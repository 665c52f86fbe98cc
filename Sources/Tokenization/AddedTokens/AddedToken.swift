import StrictJSON

/// A token that is found in the text before the model sees it.
struct AddedToken: Sendable {
  var content: [UInt8]
  var id: Int32
  /// Matches only where no word character stands beside it.
  var isSingleWord = false
  /// Takes the white space before, or after, it along.
  var stripsLeft = false
  var stripsRight = false
  /// Matched in normalized text, by its normalized content.
  var isNormalized = false
  /// Left out where special tokens are skipped.
  var isSpecial = false

  /// Longer ones are refused: matching takes time with the length.
  static let maximumByteCount = 1024
}

extension AddedToken {
  /// Reads the flags of an entry of `added_tokens` or `added_tokens_decoder`.
  init(_ value: JSONValue, id: Int32, file: String) throws(TokenizationFault) {
    let reader = try ComponentReader(value, kind: "added token", file: file)
    content = Array(try reader.string("content").utf8)
    self.id = id
    isSpecial = try reader.bool("special", default: false)
    isSingleWord = try reader.bool("single_word", default: false)
    stripsLeft = try reader.bool("lstrip", default: false)
    stripsRight = try reader.bool("rstrip", default: false)
    isNormalized = try reader.bool("normalized", default: !isSpecial)
  }

  /// The content for error sentences.
  var name: String { Excerpt.quoted(String(decoding: content, as: UTF8.self)) }
}
