/// What a `tokenizer.model` holds, for programs that write it in another form.
public struct SentencePieceContent: Sendable {
  public struct Piece: Sendable {
    public let text: String
    public let score: Float
    /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    public let kind: Int
  }

  public let pieces: [Piece]
  /// Whether pieces were made by merging pairs, and not by the unigram model.
  public let mergesPairs: Bool
  public let addsSpacePrefix: Bool
  /// Whether text is changed before it is split: characters by rules, spaces that are too many, or
  /// a mark behind a word instead of before it.
  public let changesText: Bool
  public let beginning: Int?
  public let end: Int?

  /// Throws: `TokenizationFault` for whatever is no sound model.
  public init(_ bytes: [UInt8], name: String) throws(TokenizationFault) {
    let file = try SentencePieceFile(bytes, name: name)
    pieces = file.pieces.map {
      Piece(text: String(decoding: $0.text, as: UTF8.self), score: $0.score, kind: $0.kind.rawValue)
    }
    mergesPairs = file.algorithm == .bpe
    addsSpacePrefix = file.addsDummyPrefix
    changesText =
      !file.characterMap.isEmpty || file.removesExtraSpace || file.treatsSpaceAsSuffix
      || !file.escapesSpace
    beginning = file.pieces.indices.contains(file.beginningID) ? file.beginningID : nil
    end = file.pieces.indices.contains(file.endID) ? file.endID : nil
  }
}
