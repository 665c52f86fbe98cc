/// The text rewriting that a SentencePiece model asks for.
///
/// Source: sentencepiece, `normalizer.cc`.
struct SentencePieceNormalizer: Sendable {
  private let characterMap: CharacterMap?
  private let userDefined: ByteTrie
  private let addsDummyPrefix: Bool
  private let removesExtraSpace: Bool
  private let escapesSpace: Bool
  private let treatsSpaceAsSuffix: Bool

  init(_ file: SentencePieceFile, userDefined: ByteTrie) throws(TokenizationFault) {
    characterMap =
      file.characterMap.isEmpty ? nil : try CharacterMap(file.characterMap, file: file.name)
    self.userDefined = userDefined
    addsDummyPrefix = file.addsDummyPrefix
    removesExtraSpace = file.removesExtraSpace
    escapesSpace = file.escapesSpace
    treatsSpaceAsSuffix = file.treatsSpaceAsSuffix
  }

  private static let space: [UInt8] = [0x20]

  /// - Parameter beginsText: whether the dummy prefix, if the model has one, belongs here.
  func normalize(_ text: [UInt8], addsPrefix: Bool = true) -> [UInt8] {
    var offset = 0
    if removesExtraSpace {
      while offset < text.count {
        let (replacement, length) = normalizedPrefix(text, offset)
        guard replacement.elementsEqual(Self.space) else { break }
        offset += length
      }
    }
    guard offset < text.count else { return [] }
    let space = escapesSpace ? MetaspaceBoundary.markBytes : Self.space
    var result: [UInt8] = []
    result.reserveCapacity(text.count + text.count / 2)
    let prefix = addsDummyPrefix && addsPrefix
    if prefix, !treatsSpaceAsSuffix { result.append(contentsOf: space) }
    var previousIsSpace = removesExtraSpace
    while offset < text.count {
      let (replacement, length) = normalizedPrefix(text, offset)
      offset += length
      let kept = previousIsSpace ? replacement.drop { $0 == 0x20 } : replacement
      for byte in kept {
        if byte == 0x20 { result.append(contentsOf: space) } else { result.append(byte) }
      }
      if !kept.isEmpty { previousIsSpace = kept.last == 0x20 }
      if !removesExtraSpace { previousIsSpace = false }
    }
    if removesExtraSpace {
      while result.count >= space.count, result.suffix(space.count).elementsEqual(space) {
        result.removeLast(space.count)
      }
    }
    if prefix, treatsSpaceAsSuffix { result.append(contentsOf: space) }
    return result
  }

  /// What the next piece of text becomes, and how much of it that is.
  private func normalizedPrefix(
    _ text: [UInt8], _ offset: Int
  ) -> (replacement: ArraySlice<UInt8>, length: Int) {
    if !userDefined.isEmpty, let match = userDefined.longestMatch(text.span, offset, text.count) {
      return (text[offset..<(offset + match.length)], match.length)
    }
    if let (length, replacement) = characterMap?.replacement(text, offset, text.count) {
      return (replacement, length)
    }
    let length = UTF8Text.length(firstByte: text[offset])
    return (text[offset..<(offset + length)], length)
  }
}
