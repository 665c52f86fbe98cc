/// Turns the ids of a SentencePiece model into text as they come.
///
/// Source: sentencepiece, `SentencePieceProcessor::Decode`.
struct PieceDecoder: Sendable {
  private let model: SentencePieceModel
  /// Bytes that are no whole character yet.
  private var bytes: [UInt8] = []
  private var hasText = false
  /// Whether a leading space mark is still to be dropped.
  private var isAtStart = true
  private var droppedMark = false

  init(_ model: SentencePieceModel) { self.model = model }

  mutating func feed(_ id: Int32, into text: inout [UInt8]) {
    if let byte = model.isByte(id) {
      bytes.append(byte)
      release(isLast: false, into: &text)
      return
    }
    release(isLast: true, into: &text)
    if droppedMark || hasText { isAtStart = false }
    let piece = model.pieces[Int(id)]
    droppedMark = false
    switch piece.kind {
    case .control: return
    case .unknown: append(model.unknownSurface[...], into: &text)
    default:
      var surface = piece.text[...]
      if isAtStart, model.stripsFirstSpace, surface.starts(with: MetaspaceBoundary.markBytes) {
        surface = surface.dropFirst(3)
        droppedMark = !model.removesExtraSpace
      }
      let mark = TextPattern.literal(MetaspaceBoundary.markBytes)
      append(mark.replacing(Array(surface), with: [0x20])[...], into: &text)
    }
  }

  /// Takes an added token, which is no piece of the model.
  mutating func feedLiteral(_ token: [UInt8], into text: inout [UInt8]) {
    release(isLast: true, into: &text)
    append(token[...], into: &text)
  }

  mutating func finish(into text: inout [UInt8]) { release(isLast: true, into: &text) }

  private mutating func append(_ surface: ArraySlice<UInt8>, into text: inout [UInt8]) {
    text += surface
    if !surface.isEmpty { hasText = true }
  }

  /// Writes the characters that the bytes make; a byte that begins none becomes U+FFFD.
  private mutating func release(isLast: Bool, into text: inout [UInt8]) {
    var offset = 0
    while offset < bytes.count {
      let length = Self.expectedLength(bytes[offset])
      let available = min(length, bytes.count - offset)
      let part = Array(bytes[offset..<(offset + available)])
      if length > 0, available == length, UTF8Decoder.isValid(part) {
        append(part[...], into: &text)
        offset += length
      } else if length > 0, available < length, !isLast, Self.mayContinue(part) {
        break
      } else {
        append(UTF8Decoder.replacement[...], into: &text)
        offset += 1
      }
    }
    bytes.removeFirst(offset)
  }

  private static func expectedLength(_ byte: UInt8) -> Int {
    switch byte {
    case ..<0x80: 1
    case 0xC2...0xDF: 2
    case 0xE0...0xEF: 3
    case 0xF0...0xF4: 4
    default: 0
    }
  }

  /// Whether these bytes begin some character.
  private static func mayContinue(_ part: [UInt8]) -> Bool {
    var decoder = UTF8Decoder()
    var text: [UInt8] = []
    decoder.decode(part, into: &text)
    return text.isEmpty
  }
}
