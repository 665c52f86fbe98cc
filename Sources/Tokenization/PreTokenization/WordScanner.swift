/// Hand-written scanners for the patterns that nearly all byte-level tokenizers use.
///
/// Each takes the alternatives of its pattern in order, as a backtracking engine would; together
/// they match everywhere, so that the pieces cover the text.
struct WordScanner: Sendable {
  enum Pattern: Sendable, Equatable {
    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    case gpt2
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
    ///  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`, with at most that many digits.
    case llama3(digits: Int)
  }

  let pattern: Pattern

  /// The scanner for a regular expression; nil where it is not one of those known.
  init?(regex: String) {
    switch regex {
    case "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
      "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+":
      pattern = .gpt2
    case Self.llama3("\\p{N}{1,3}"): pattern = .llama3(digits: 3)
    case Self.llama3("\\p{N}"): pattern = .llama3(digits: 1)
    default: return nil
    }
  }

  init(_ pattern: Pattern) { self.pattern = pattern }

  /// The pattern of Llama 3 and Qwen2 with the given alternative for numbers.
  private static func llama3(_ number: String) -> String {
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\(number)"
      + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
  }

  /// Cuts the text from `start` to `end` into pieces.
  func cut(_ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, into list: inout PieceList) {
    let cursor = ScalarCursor()
    var offset = start
    switch pattern {
    case .gpt2:
      while offset < end {
        let stop = cursor.gpt2Word(text, offset, end)
        list.append(offset, stop)
        offset = stop
      }
    case .llama3(let digits):
      while offset < end {
        let stop = cursor.llama3Word(text, offset, end, digits)
        list.append(offset, stop)
        offset = stop
      }
    }
  }
}

/// Looks at scalars by class.
private struct ScalarCursor {
  private let categories = GeneralCategories.shared

  private let letter = CategorySet.letter.rawValue
  private let number = CategorySet.number.rawValue
  private let space = CategorySet.whiteSpace.rawValue
  /// What is not punctuation, symbol, mark or other.
  private let word: UInt32

  init() { word = letter | number | space }

  /// Category bit and length of the scalar at `offset`.
  @inline(__always)
  private func look(_ text: borrowing Span<UInt8>, _ offset: Int) -> (bit: UInt32, length: Int) {
    let (scalar, length) = UTF8Text.scalar(text, offset)
    return (categories.bit(scalar), length)
  }

  /// The end of the run of scalars in `mask` from `offset` on.
  @inline(__always)
  private func run(
    _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ mask: UInt32
  ) -> Int {
    var offset = start
    while offset < end {
      let (bit, length) = look(text, offset)
      if bit & mask == 0 { break }
      offset &+= length
    }
    return offset
  }

  // MARK: - GPT-2

  func gpt2Word(_ text: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    let first = text[start]
    if first == UInt8(ascii: "'"), let stop = contraction(text, start, end) { return stop }
    var content = start
    if first == UInt8(ascii: " "), start &+ 1 < end { content = start &+ 1 }
    let (bit, length) = look(text, content)
    if bit & letter != 0 { return run(text, content &+ length, end, letter) }
    if bit & number != 0 { return run(text, content &+ length, end, number) }
    if bit & space == 0 { return run(text, content &+ length, end, ~word) }
    return spaces(text, start, end)
  }

  /// `\s+(?!\S)|\s+`: all white space, but the last of it stays with a word that follows.
  private func spaces(_ text: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var offset = start
    var last = start
    while offset < end {
      let (bit, length) = look(text, offset)
      if bit & space == 0 { return last > start ? last : offset }
      last = offset
      offset &+= length
    }
    return offset
  }

  /// The end of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` in lower case.
  private func contraction(_ text: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Int? {
    guard start &+ 1 < end else { return nil }
    switch text[start &+ 1] {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      return start &+ 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"):
      return start &+ 2 < end && text[start &+ 2] == UInt8(ascii: "e") ? start &+ 3 : nil
    case UInt8(ascii: "l"):
      return start &+ 2 < end && text[start &+ 2] == UInt8(ascii: "l") ? start &+ 3 : nil
    default: return nil
    }
  }

  // MARK: - Llama 3, Qwen2

  func llama3Word(
    _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ digits: Int
  ) -> Int {
    let first = text[start]
    if first == UInt8(ascii: "'"), let stop = contractionOfAnyCase(text, start, end) {
      return stop
    }
    let (bit, length) = look(text, start)
    if bit & letter != 0 { return run(text, start &+ length, end, letter) }
    if bit & number != 0 { return numbers(text, start &+ length, end, digits) }
    let isNewline = first == 0x0D || first == 0x0A
    let next = start &+ length
    if !isNewline, next < end {
      let (nextBit, nextLength) = look(text, next)
      if nextBit & letter != 0 { return run(text, next &+ nextLength, end, letter) }
    }
    // ` ?[^\s\p{L}\p{N}]+[\r\n]*`
    var content = start
    if first == UInt8(ascii: " "), next < end { content = next }
    let (contentBit, contentLength) = look(text, content)
    if contentBit & word == 0 {
      var stop = run(text, content &+ contentLength, end, ~word)
      while stop < end, text[stop] == 0x0D || text[stop] == 0x0A { stop &+= 1 }
      return stop
    }
    return lines(text, start, end)
  }

  private func numbers(
    _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ digits: Int
  ) -> Int {
    var offset = start
    var count = 1
    while offset < end, count < digits {
      let (bit, length) = look(text, offset)
      if bit & number == 0 { break }
      offset &+= length
      count &+= 1
    }
    return offset
  }

  /// `\s*[\r\n]+|\s+(?!\S)|\s+`: up to the last line end in the white space, if there is one.
  private func lines(_ text: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var offset = start
    var last = start
    var lineEnd: Int?
    while offset < end {
      let (bit, length) = look(text, offset)
      if bit & space == 0 { break }
      last = offset
      offset &+= length
      if text[last] == 0x0D || text[last] == 0x0A { lineEnd = offset }
    }
    if let lineEnd { return lineEnd }
    if offset == end { return end }
    return last > start ? last : offset
  }

  /// A contraction in any case; U+017F (long s) counts as an s.
  private func contractionOfAnyCase(
    _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int
  ) -> Int? {
    guard start &+ 1 < end else { return nil }
    let next = text[start &+ 1] | 0x20
    switch next {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      return start &+ 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"):
      return start &+ 2 < end && text[start &+ 2] | 0x20 == UInt8(ascii: "e") ? start &+ 3 : nil
    case UInt8(ascii: "l"):
      return start &+ 2 < end && text[start &+ 2] | 0x20 == UInt8(ascii: "l") ? start &+ 3 : nil
    default:
      let isLongS = start &+ 2 < end && text[start &+ 1] == 0xC5 && text[start &+ 2] == 0xBF
      return isLongS ? start &+ 3 : nil
    }
  }
}
