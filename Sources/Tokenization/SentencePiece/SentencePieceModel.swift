import StrictJSON

/// A SentencePiece model: text to ids.
///
/// Source: sentencepiece, `sentencepiece_processor.cc`, `model_interface.cc`.
struct SentencePieceModel: Sendable {
  enum Algorithm: Sendable {
    case bytePairs(SentencePieceMerges)
    case unigram(UnigramLattice)
    case scalars
  }

  let pieces: [SentencePieceFile.Piece]
  let unknown: Int32
  let unknownSurface: [UInt8]
  let beginning: Int32?
  let end: Int32?
  /// The piece for each byte; nil where bytes are not fallen back to.
  let byteTokens: [Int32]?
  /// The byte of each byte piece.
  private let byteByID: [Int32: UInt8]
  let stripsFirstSpace: Bool
  let removesExtraSpace: Bool
  private let normalizer: SentencePieceNormalizer
  private let algorithm: Algorithm
  /// Ids of what text may hold; control, unknown and byte pieces are not among them.
  private let textual: ByteStringTable
  private let textualIDs: [Int32]
  private let reserved: [[UInt8]: Int32]

  init(_ file: SentencePieceFile) throws(TokenizationFault) {
    pieces = file.pieces
    unknownSurface = file.unknownSurface
    stripsFirstSpace = file.addsDummyPrefix || file.removesExtraSpace
    removesExtraSpace = file.removesExtraSpace
    var index = PieceIndex()
    for (id, piece) in file.pieces.enumerated() {
      try index.add(piece, Int32(id), usesByteFallback: file.usesByteFallback, file: file.name)
    }
    guard let unknown = index.unknown else {
      throw .malformed(file.name, "no piece is the unknown one")
    }
    if file.usesByteFallback, index.byteTokens.contains(-1) {
      throw .malformed(
        file.name, "not every byte has a piece although the model falls back to them")
    }
    self.unknown = unknown
    byteTokens = file.usesByteFallback ? index.byteTokens : nil
    byteByID = index.byteByID
    textual = index.textual
    textualIDs = index.textualIDs
    reserved = index.reserved
    func id(_ id: Int) -> Int32? { file.pieces.indices.contains(id) ? Int32(id) : nil }
    beginning = id(file.beginningID)
    end = id(file.endID)
    normalizer = try SentencePieceNormalizer(file, userDefined: index.userDefined)
    switch file.algorithm {
    case .bpe:
      algorithm = .bytePairs(
        SentencePieceMerges(
          file.pieces, index.textual, index.textualIDs, index.userDefined))
    case .unigram:
      algorithm = .unigram(UnigramLattice(file.pieces, unknown: unknown))
    case .char: algorithm = .scalars
    case .word: throw .unknownComponent("model type", "WORD", file: file.name)
    }
  }

  func isByte(_ id: Int32) -> UInt8? { byteByID[id] }

  /// The id of a piece by its text.
  func id(of text: [UInt8]) -> Int32? {
    reserved[text] ?? textual.find(text).map { textualIDs[$0] }
  }

  /// Appends the ids of a text, which is taken literally: no control piece is found in it.
  ///
  /// - Parameter addsPrefix: whether the dummy prefix, if the model has one, belongs before it.
  func encode(
    _ text: [UInt8], addsPrefix: Bool, _ ids: inout [Int32], _ scratch: inout EncodingScratch
  ) {
    let normalized = normalizer.normalize(text, addsPrefix: addsPrefix)
    if normalized.isEmpty { return }
    switch algorithm {
    case .bytePairs(let merges):
      merges.encode(normalized, self, &ids, &scratch)
    case .unigram(let lattice):
      var output = SentencePieceOutput(model: self)
      for part in lattice.best(normalized) {
        output.append(part.id, normalized.span, part.start, part.end, &ids)
      }
    case .scalars:
      var output = SentencePieceOutput(model: self)
      var offset = 0
      while offset < normalized.count {
        let end = offset + UTF8Text.length(firstByte: normalized[offset])
        let id = textual.find(normalized.span, offset, end).map { textualIDs[$0] } ?? unknown
        output.append(id, normalized.span, offset, end, &ids)
        offset = end
      }
    }
  }
}

/// Writes pieces as ids: an unknown one as its bytes, or once for all in a row.
struct SentencePieceOutput {
  private let unknown: Int32
  private let byteTokens: [Int32]?
  private var previousIsUnknown = false

  init(model: SentencePieceModel) {
    unknown = model.unknown
    byteTokens = model.byteTokens
  }

  mutating func append(
    _ id: Int32, _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ ids: inout [Int32]
  ) {
    guard id == unknown else {
      ids.append(id)
      previousIsUnknown = false
      return
    }
    if let byteTokens {
      for offset in start..<end { ids.append(byteTokens[Int(text[offset])]) }
    } else if !previousIsUnknown {
      ids.append(unknown)
    }
    previousIsUnknown = true
  }
}

/// The pieces of a model by kind, checked as they come.
private struct PieceIndex {
  var textual = ByteStringTable()
  var textualIDs: [Int32] = []
  var reserved: [[UInt8]: Int32] = [:]
  var userDefined = ByteTrie()
  var unknown: Int32?
  var byteTokens = [Int32](repeating: -1, count: 256)
  var byteByID: [Int32: UInt8] = [:]

  mutating func add(
    _ piece: SentencePieceFile.Piece, _ id: Int32, usesByteFallback: Bool, file: String
  ) throws(TokenizationFault) {
    switch piece.kind {
    case .normal, .userDefined, .unused:
      guard textual.insert(piece.text) != nil else { throw repeated(piece, id, file) }
      textualIDs.append(id)
      if piece.kind == .userDefined { userDefined.insert(piece.text, value: id) }
    case .unknown, .control, .byte:
      guard reserved.updateValue(id, forKey: piece.text) == nil else {
        throw repeated(piece, id, file)
      }
      if piece.kind == .unknown {
        guard unknown == nil else { throw .malformed(file, "two pieces are the unknown one") }
        unknown = id
      }
      if piece.kind == .byte {
        guard usesByteFallback, let byte = ByteToken.byte(piece.text[...]) else {
          throw .malformed(file, "piece \(id) is a byte that has no place in this model")
        }
        byteTokens[Int(byte)] = id
        byteByID[id] = byte
      }
    }
  }

  private func repeated(
    _ piece: SentencePieceFile.Piece, _ id: Int32, _ file: String
  ) -> TokenizationFault {
    let text = String(decoding: piece.text, as: UTF8.self)
    return .malformed(file, "piece \(id), \(Excerpt.quoted(text)), stands there twice")
  }
}

/// Tokens of the form `<0x0A>`.
enum ByteToken {
  static func name(_ byte: UInt8) -> [UInt8] {
    let digits = Array("0123456789ABCDEF".utf8)
    return Array("<0x".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)], UInt8(ascii: ">")]
  }

  /// The byte a token stands for, its digits in either case.
  static func byte(_ token: ArraySlice<UInt8>) -> UInt8? {
    guard token.count == 6, token.starts(with: "<0x".utf8), token.last == UInt8(ascii: ">") else {
      return nil
    }
    let digits = token[(token.startIndex + 3)..<(token.startIndex + 5)]
    return UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
  }
}
