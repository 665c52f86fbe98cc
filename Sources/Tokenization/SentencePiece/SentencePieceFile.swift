/// The content of a `tokenizer.model`.
///
/// Source: sentencepiece, `sentencepiece_model.proto`.
struct SentencePieceFile {
  enum Kind: Int { case normal = 1, unknown, control, userDefined, unused, byte }
  enum Algorithm: Int { case unigram = 1, bpe, word, char }

  struct Piece {
    var text: [UInt8]
    var score: Float
    var kind: Kind
  }

  let name: String
  private(set) var pieces: [Piece] = []
  private(set) var algorithm = Algorithm.unigram
  private(set) var usesByteFallback = false
  private(set) var treatsSpaceAsSuffix = false
  private(set) var unknownSurface: [UInt8] = Array(" \u{2047} ".utf8)
  private(set) var beginningID = 1
  private(set) var endID = 2
  private(set) var addsDummyPrefix = true
  private(set) var removesExtraSpace = true
  private(set) var escapesSpace = true
  private(set) var characterMap: [UInt8] = []

  /// Longer pieces are refused: finding all their halves takes time with the square.
  static let maximumPieceByteCount = 1024

  init(_ bytes: [UInt8], name: String) throws(TokenizationFault) {
    self.name = name
    var reader = ProtobufReader(bytes, 0..<bytes.count, file: name)
    while let (number, value) = try reader.next() {
      guard case .bytes(let range) = value else { continue }
      switch number {
      case 1: try readPiece(bytes, range)
      case 2: try readTrainer(bytes, range)
      case 3: try readNormalizer(bytes, range)
      case 5: try readDenormalizer(bytes, range)
      default: break
      }
    }
    guard !pieces.isEmpty else {
      throw .malformed(name, "this is no SentencePiece model: it holds no pieces")
    }
  }

  private mutating func readPiece(
    _ bytes: [UInt8], _ range: Range<Int>
  ) throws(TokenizationFault) {
    var piece = Piece(text: [], score: 0, kind: .normal)
    var reader = ProtobufReader(bytes, range, file: name)
    while let (number, value) = try reader.next() {
      switch (number, value) {
      case (1, .bytes(let range)): piece.text = Array(bytes[range])
      case (2, .fixed32(let bits)): piece.score = Float(bitPattern: bits)
      case (3, .varint(let code)):
        guard let kind = Kind(rawValue: Int(truncatingIfNeeded: code)) else {
          throw .malformed(name, "piece \(pieces.count) has the unknown type \(code)")
        }
        piece.kind = kind
      default: break
      }
    }
    guard !piece.text.isEmpty else { throw .malformed(name, "piece \(pieces.count) is empty") }
    guard piece.text.count <= Self.maximumPieceByteCount else {
      throw .malformed(
        name,
        "piece \(pieces.count) has \(piece.text.count) bytes, more than "
          + "\(Self.maximumPieceByteCount)")
    }
    guard piece.score.isFinite else {
      throw .malformed(name, "piece \(pieces.count) has the score \(piece.score)")
    }
    guard UTF8Decoder.isValid(piece.text) else {
      throw .malformed(name, "piece \(pieces.count) is not valid UTF-8")
    }
    pieces.append(piece)
  }

  private mutating func readTrainer(
    _ bytes: [UInt8], _ range: Range<Int>
  ) throws(TokenizationFault) {
    var reader = ProtobufReader(bytes, range, file: name)
    while let (number, value) = try reader.next() {
      switch (number, value) {
      case (3, .varint(let code)):
        guard let algorithm = Algorithm(rawValue: Int(truncatingIfNeeded: code)) else {
          throw .malformed(name, "the model has the unknown type \(code)")
        }
        self.algorithm = algorithm
      case (24, .varint(let flag)): treatsSpaceAsSuffix = flag != 0
      case (35, .varint(let flag)): usesByteFallback = flag != 0
      case (41, .varint(let id)): beginningID = Int(Int32(truncatingIfNeeded: id))
      case (42, .varint(let id)): endID = Int(Int32(truncatingIfNeeded: id))
      case (44, .bytes(let range)): unknownSurface = Array(bytes[range])
      default: break
      }
    }
  }

  private mutating func readNormalizer(
    _ bytes: [UInt8], _ range: Range<Int>
  ) throws(TokenizationFault) {
    var reader = ProtobufReader(bytes, range, file: name)
    while let (number, value) = try reader.next() {
      switch (number, value) {
      case (2, .bytes(let range)): characterMap = Array(bytes[range])
      case (3, .varint(let flag)): addsDummyPrefix = flag != 0
      case (4, .varint(let flag)): removesExtraSpace = flag != 0
      case (5, .varint(let flag)): escapesSpace = flag != 0
      default: break
      }
    }
  }

  private func readDenormalizer(
    _ bytes: [UInt8], _ range: Range<Int>
  ) throws(TokenizationFault) {
    var reader = ProtobufReader(bytes, range, file: name)
    while let (number, value) = try reader.next() {
      if case (2, .bytes(let range)) = (number, value), !range.isEmpty {
        throw .unknownComponent("denormalizer", "character map", file: name)
      }
    }
  }
}
