/// SentencePiece's compiled character map: a double-array trie from byte strings to replacements.
///
/// Source: sentencepiece, `normalizer.cc` (layout) and Darts-clone (units).
struct CharacterMap: Sendable {
  private let units: [UInt32]
  private let replacements: [UInt8]
  /// Bytes of the longest replacement.
  let longestReplacement: Int

  /// Unicode's own longest replacement of one character has 33 bytes.
  static let maximumReplacementByteCount = 1024

  init(_ blob: [UInt8], file: String) throws(TokenizationFault) {
    guard blob.count > 4 else { throw .malformed(file, "the character map is too short") }
    let size = Int(Self.word(blob, 0))
    guard size < blob.count - 4, size % 4 == 0 else {
      throw .malformed(
        file, "the character map claims \(size) bytes of trie, but has \(blob.count - 4) in all")
    }
    units = (0..<(size / 4)).map { Self.word(blob, 4 + 4 * $0) }
    replacements = Array(blob[(4 + size)...])
    longestReplacement =
      replacements.split(separator: 0, omittingEmptySubsequences: false).map(\.count).max() ?? 0
    guard longestReplacement <= Self.maximumReplacementByteCount else {
      throw .malformed(
        file, "the character map replaces characters by \(longestReplacement) bytes")
    }
    guard UTF8Decoder.isValid(replacements) else {
      throw .malformed(file, "the character map's replacements are not valid UTF-8")
    }
  }

  /// Four bytes, the lowest first.
  private static func word(_ blob: [UInt8], _ start: Int) -> UInt32 {
    let low = UInt32(blob[start]) | UInt32(blob[start + 1]) << 8
    return low | UInt32(blob[start + 2]) << 16 | UInt32(blob[start + 3]) << 24
  }

  /// The longest prefix of the text with a replacement: its length, and where that stands.
  private func longestPrefix(_ text: [UInt8], _ start: Int, _ end: Int) -> (length: Int, at: Int)? {
    guard !units.isEmpty else { return nil }
    var best: (length: Int, at: Int)?
    var node = Self.offset(units[0])
    for place in start..<end {
      let label = UInt32(text[place])
      node ^= Int(label)
      guard node < units.count, units[node] & 0x8000_00FF == label else { break }
      let unit = units[node]
      node ^= Self.offset(unit)
      if unit >> 8 & 1 == 1 {
        guard node < units.count else { break }
        // A key that ends within a character would leave the rest of it behind.
        guard place + 1 == end || text[place + 1] & 0xC0 != 0x80 else { continue }
        best = (place + 1 - start, Int(units[node] & 0x7FFF_FFFF))
      }
    }
    return best
  }

  private static func offset(_ unit: UInt32) -> Int {
    Int((unit >> 10) << ((unit & 0x200) >> 6))
  }

  /// What the longest mapped prefix becomes, and its length; nil where none is mapped.
  func replacement(_ text: [UInt8], _ start: Int, _ end: Int) -> (length: Int, ArraySlice<UInt8>)? {
    guard let (length, at) = longestPrefix(text, start, end), at < replacements.count,
      replacements[at] & 0xC0 != 0x80
    else { return nil }
    let stop = replacements[at...].firstIndex(of: 0) ?? replacements.count
    return (length, replacements[at..<stop])
  }

  /// Maps grapheme by grapheme, as the `tokenizers` library does: a short one as a whole where it
  /// is mapped, else its scalars.
  func normalizeByGrapheme(_ text: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    for character in String(decoding: text, as: UTF8.self) {
      let grapheme = Array(String(character).utf8)
      if grapheme.count < 6, let mapped = firstMatch(grapheme, 0, grapheme.count) {
        result.append(contentsOf: mapped)
        continue
      }
      var offset = 0
      while offset < grapheme.count {
        let end = offset + UTF8Text.length(firstByte: grapheme[offset])
        if let mapped = firstMatch(grapheme, offset, end) {
          result.append(contentsOf: mapped)
        } else {
          result.append(contentsOf: grapheme[offset..<end])
        }
        offset = end
      }
    }
    return result
  }

  /// The replacement of the shortest mapped prefix, which stands for the whole range.
  private func firstMatch(_ text: [UInt8], _ start: Int, _ end: Int) -> ArraySlice<UInt8>? {
    for stop in (start + 1)...end {
      if let (length, replacement) = replacement(text, start, stop), length == stop - start {
        return replacement
      }
    }
    return nil
  }
}

/// Base 64 as RFC 4648 defines it.
enum Base64 {
  static func decode(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count / 4 * 3)
    var group: UInt32 = 0
    var count = 0
    var hasEnded = false
    for character in text.utf8 {
      let value: UInt32
      switch character {
      case 0x41...0x5A: value = UInt32(character - 0x41)
      case 0x61...0x7A: value = UInt32(character - 0x61 + 26)
      case 0x30...0x39: value = UInt32(character - 0x30 + 52)
      case 0x2B: value = 62
      case 0x2F: value = 63
      case 0x3D:
        hasEnded = true
        continue
      default: return nil
      }
      if hasEnded { return nil }
      group = group << 6 | value
      count += 1
      if count % 4 == 0 {
        bytes.append(UInt8(group >> 16 & 255))
        bytes.append(UInt8(group >> 8 & 255))
        bytes.append(UInt8(group & 255))
        group = 0
      }
    }
    switch count % 4 {
    case 2: bytes.append(UInt8(group >> 4 & 255))
    case 3: bytes.append(contentsOf: [UInt8(group >> 10 & 255), UInt8(group >> 2 & 255)])
    case 1: return nil
    default: break
    }
    return bytes
  }
}
