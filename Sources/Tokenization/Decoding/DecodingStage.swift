/// A decoding step at work on one text: takes tokens as they come and gives out what is certain.
///
/// Behind a step that fuses, what comes are fragments of a single token.
struct DecodingStage: Sendable {
  private let step: DecodingStep
  private let isFused: Bool
  private var isFirst = true
  private var utf8 = UTF8Decoder()
  /// What waits for more: fragments, byte tokens in a row, the last token.
  private var held: [UInt8] = []
  private var holdsToken = false
  /// How many scalars may still be stripped at the start.
  private var strippable = 0

  init(_ step: DecodingStep, isFused: Bool) {
    self.step = step
    self.isFused = isFused
    if case .strip(_, let start, _) = step { strippable = start }
  }

  /// Takes a token or fragment; hands each that follows from it to the body.
  mutating func feed(_ token: [UInt8], _ body: ([UInt8]) -> Void) {
    guard isFused else { return feedToken(token, body) }
    switch step {
    case .fuse: body(token)
    case .metaspace(let mark, let dropsFirst):
      body(Self.replaceMarks(token, mark, drops: dropsFirst))
    case .strip(let scalar, _, let stop): feedStripped(token, scalar, stop, body)
    case .replace(.literal(let wanted), let content):
      feedReplaced(token, wanted, content, body)
    case .byteLevel, .byteFallback, .wordSuffix, .replace: held += token
    }
  }

  /// Hands out what was held back.
  mutating func finish(_ body: ([UInt8]) -> Void) {
    if isFused {
      switch step {
      case .fuse, .metaspace, .strip: return
      case .replace(.literal, _):
        if !held.isEmpty { body(held) }
        held = []
        return
      case .byteLevel, .byteFallback, .wordSuffix, .replace:
        let token = held
        held = []
        feedToken(token, body)
      }
    }
    switch step {
    case .byteLevel:
      var text: [UInt8] = []
      utf8.finish(into: &text)
      if !text.isEmpty { body(text) }
    case .byteFallback: releaseBytes(body)
    case .wordSuffix(let suffix):
      if holdsToken { body(TextPattern.literal(suffix).replacing(held, with: [])) }
      holdsToken = false
    default: break
    }
  }

  private mutating func feedToken(_ token: [UInt8], _ body: ([UInt8]) -> Void) {
    switch step {
    case .fuse: body(token)
    case .byteLevel:
      var text: [UInt8] = []
      utf8.decode(ByteLevelAlphabet.decode(token) ?? token, into: &text)
      if !text.isEmpty { body(text) }
    case .metaspace(let mark, let dropsFirst):
      body(Self.replaceMarks(token, mark, drops: dropsFirst && isFirst))
    case .replace(let pattern, let content): body(pattern.replacing(token, with: content))
    case .byteFallback:
      if let byte = ByteToken.byte(token[...]) {
        held.append(byte)
      } else {
        releaseBytes(body)
        body(token)
      }
    case .strip(let scalar, let start, let stop): body(Self.strip(token, scalar, start, stop))
    case .wordSuffix(let suffix):
      if holdsToken { body(TextPattern.literal(suffix).replacing(held, with: [0x20])) }
      held = token
      holdsToken = true
    }
    isFirst = false
  }

  // MARK: - Bytes

  /// Byte tokens in a row are text only as a whole; else each of them stands for U+FFFD.
  private mutating func releaseBytes(_ body: ([UInt8]) -> Void) {
    guard !held.isEmpty else { return }
    if UTF8Decoder.isValid(held) {
      body(held)
    } else {
      for _ in held { body(UTF8Decoder.replacement) }
    }
    held = []
  }

  // MARK: - Marks

  private static func replaceMarks(_ token: [UInt8], _ mark: UInt32, drops: Bool) -> [UInt8] {
    Normalizer.map(token) { scalar, result in
      guard scalar == mark else { return UTF8Text.append(scalar, to: &result) }
      if !drops { result.append(0x20) }
    }
  }

  // MARK: - Strip

  private static func strip(_ token: [UInt8], _ wanted: UInt32, _ start: Int, _ stop: Int)
    -> [UInt8]
  {
    var first = 0
    var last = token.count
    for _ in 0..<start where first < last {
      let (scalar, length) = UTF8Text.scalar(token, first)
      guard scalar == wanted else { break }
      first += length
    }
    for _ in 0..<stop where last > first {
      let (scalar, length) = UTF8Text.scalar(token, before: last)
      guard scalar == wanted else { break }
      last -= length
    }
    return Array(token[first..<last])
  }

  /// Strips the first fragments at the start, and holds back what may have to go at the end.
  private mutating func feedStripped(
    _ token: [UInt8], _ wanted: UInt32, _ stop: Int, _ body: ([UInt8]) -> Void
  ) {
    var text = token
    while strippable > 0, !text.isEmpty {
      let (scalar, length) = UTF8Text.scalar(text, 0)
      if scalar == wanted {
        text.removeFirst(length)
        strippable -= 1
      } else {
        strippable = 0
      }
    }
    guard stop > 0 else { return body(text) }
    text = held + text
    var end = text.count
    for _ in 0..<stop where end > 0 {
      let (scalar, length) = UTF8Text.scalar(text, before: end)
      guard scalar == wanted else { break }
      end -= length
    }
    held = Array(text[end...])
    body(Array(text[..<end]))
  }

  // MARK: - Replace

  /// Replaces in the fragments so far, holding back what may be the beginning of a match.
  private mutating func feedReplaced(
    _ token: [UInt8], _ wanted: [UInt8], _ content: [UInt8], _ body: ([UInt8]) -> Void
  ) {
    let text = held + token
    var result: [UInt8] = []
    var position = 0
    TextPattern.literal(wanted).forEachMatch(text, 0, text.count) { start, end in
      result += text[position..<start]
      result += content
      position = end
    }
    var hold = min(wanted.count - 1, text.count - position)
    while hold > 0, !text.suffix(hold).elementsEqual(wanted.prefix(hold)) { hold -= 1 }
    result += text[position..<(text.count - hold)]
    held = Array(text.suffix(hold))
    body(result)
  }
}
