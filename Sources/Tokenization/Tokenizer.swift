import StrictJSON
import Synchronization
import TensorCore

/// Text to token ids and back, as a checkpoint's own files describe it.
///
/// An encoding does not depend on what was encoded before, nor on the machine.
public final class Tokenizer: Sendable {
  enum Model: Sendable {
    case bytePairs(BytePairModel)
    case sentencePiece(SentencePieceModel)
  }

  let model: Model
  let normalizer: Normalizer?
  /// Steps from normalized text to words.
  let preTokenizer: [PreTokenizer]
  let added: AddedVocabulary
  let postProcessor: PostProcessor
  let decoder: TokenDecoder
  /// Whether each stretch between added tokens gets a SentencePiece model's dummy prefix.
  let prefixesEveryStretch: Bool
  /// One more than the largest id that has a token.
  public let vocabularySize: Int
  public let beginningOfSequence: Int32?
  /// The ids that end a text; several where the checkpoint's generation settings name several.
  public let endOfSequence: [Int32]
  /// What is specific to chats: templates and the texts of special tokens.
  let settings: TokenizerSettings
  /// Working memory kept from one call to the next.
  private let scratch = Mutex<EncodingScratch?>(nil)

  init(_ definition: TokenizerDefinition) {
    model = definition.model
    normalizer = definition.normalizer
    preTokenizer = definition.preTokenizer?.steps ?? []
    added = AddedVocabulary(definition.addedTokens.tokens, normalizer: definition.normalizer)
    postProcessor = definition.postProcessor
    decoder = definition.decoder
    prefixesEveryStretch = definition.prefixesEveryStretch
    settings = definition.settings
    let modelLimit =
      switch definition.model {
      case .bytePairs(let model): model.vocabulary.idLimit
      case .sentencePiece(let model): model.pieces.count
      }
    vocabularySize = max(modelLimit, Int(added.largestID) + 1)
    beginningOfSequence = definition.beginningOfSequence
    endOfSequence = definition.endOfSequence
  }

  // MARK: - Encoding

  /// The ids of a text; special tokens written in it are found.
  ///
  /// Complexity: n log n in the length of the text at worst, linear for text with words.
  ///
  /// - Parameter addSpecialTokens: whether what the tokenizer puts around a text, such as a
  ///   beginning-of-sequence token, is added.
  public func encode(_ text: String, addSpecialTokens: Bool) -> [Int32] {
    postProcessor.process(encode(bytes: Array(text.utf8)), addSpecialTokens: addSpecialTokens)
  }

  private func encode(bytes: [UInt8]) -> [Int32] {
    var scratch =
      self.scratch.withLock { kept -> EncodingScratch? in
        defer { kept = nil }
        return kept
      } ?? EncodingScratch()
    var ids: [Int32] = []
    ids.reserveCapacity(bytes.count / 3 + 8)
    if added.raw.isEmpty {
      encodeStretch(bytes, beginsInput: true, &ids, &scratch)
    } else {
      for part in added.raw.parts(bytes) {
        if let token = part.token {
          ids.append(token)
        } else {
          let isWhole = part.start == 0 && part.end == bytes.count
          encodeStretch(
            isWhole ? bytes : Array(bytes[part.start..<part.end]), beginsInput: part.start == 0,
            &ids, &scratch)
        }
      }
    }
    let kept = scratch
    self.scratch.withLock { $0 = kept }
    return ids
  }

  /// Encodes a stretch of text without raw added tokens.
  private func encodeStretch(
    _ text: [UInt8], beginsInput: Bool, _ ids: inout [Int32], _ scratch: inout EncodingScratch
  ) {
    switch model {
    case .sentencePiece(let model):
      model.encode(text, addsPrefix: prefixesEveryStretch || beginsInput, &ids, &scratch)
    case .bytePairs(let model):
      let normalized = normalizer?.normalize(text) ?? text
      let begins = beginsInput && !(normalizer?.dropsStart(of: text) ?? false)
      guard !added.normalized.isEmpty else {
        return encodeWords(normalized, beginsInput: begins, model, &ids, &scratch)
      }
      for part in added.normalized.parts(normalized) {
        if let token = part.token {
          ids.append(token)
        } else {
          let isWhole = part.start == 0 && part.end == normalized.count
          encodeWords(
            isWhole ? normalized : Array(normalized[part.start..<part.end]),
            beginsInput: begins && part.start == 0, model, &ids, &scratch)
        }
      }
    }
  }

  private func encodeWords(
    _ text: [UInt8], beginsInput: Bool, _ model: BytePairModel, _ ids: inout [Int32],
    _ scratch: inout EncodingScratch
  ) {
    if text.isEmpty { return }
    guard let last = preTokenizer.last else {
      return model.encode(text.span, 0, text.count, &ids, &scratch)
    }
    var pieces = Pieces(text, beginsInput: beginsInput)
    for step in preTokenizer.dropLast() { step.apply(&pieces) }
    if case .byteLevel = last, model.takesBytes {
      last.applyBeforeBytes(&pieces)
      let bytes = pieces.bytes.span
      for index in 0..<pieces.count {
        model.encodeBytes(bytes, pieces.starts[index], pieces.ends[index], &ids, &scratch)
      }
    } else {
      last.apply(&pieces)
      let bytes = pieces.bytes.span
      for index in 0..<pieces.count {
        model.encode(bytes, pieces.starts[index], pieces.ends[index], &ids, &scratch)
      }
    }
  }

  // MARK: - Decoding

  /// The text of ids.
  ///
  /// Throws: `TokenizationFault` where an id has no token.
  public func decode(
    _ ids: [Int32], skipSpecialTokens: Bool
  ) throws(TokenizationFault) -> String {
    var decoder = makeStreamDecoder(skipSpecialTokens: skipSpecialTokens)
    var text: [UInt8] = []
    for id in ids {
      guard decodingText(of: id) != nil else {
        throw TokenizationFault(
          "unknownID",
          "the id \(id) has no token in this vocabulary of \(vocabularySize); give ids of this "
            + "model")
      }
      decoder.feed(id, into: &text)
    }
    decoder.finish(into: &text)
    return String(decoding: text, as: UTF8.self)
  }

  /// A decoder that takes ids one by one.
  public func makeStreamDecoder(skipSpecialTokens: Bool) -> StreamDecoder {
    StreamDecoder(self, skipsSpecialTokens: skipSpecialTokens)
  }

  /// What a token looks like to the decoder.
  func decodingText(of id: Int32) -> [UInt8]? {
    if let text = added.text(of: id) { return text }
    switch model {
    case .bytePairs(let model): return model.vocabulary.token(id).map { Array($0) }
    case .sentencePiece(let model):
      return id >= 0 && id < model.pieces.count ? model.pieces[Int(id)].text : nil
    }
  }

  /// Whether a token is left out where special tokens are skipped.
  func isSpecial(_ id: Int32, _ text: [UInt8]) -> Bool {
    if added.isSpecial(text) { return true }
    guard case .sentencePiece(let model) = model, id < model.pieces.count else { return false }
    return model.pieces[Int(id)].kind == .control || model.pieces[Int(id)].kind == .unknown
  }

  // MARK: - Tokens

  /// Whether a token has a meaning beside its text, such as the end of a text.
  public func isSpecial(_ id: Int32) -> Bool {
    decodingText(of: id).map { isSpecial(id, $0) } ?? false
  }

  /// The id of a token as the vocabulary writes it.
  public func id(of token: String) -> Int32? {
    let bytes = Array(token.utf8)
    if let id = added.id(of: bytes) { return id }
    switch model {
    case .bytePairs(let model): return model.vocabulary.id(of: bytes)
    case .sentencePiece(let model): return model.id(of: bytes)
    }
  }

  /// A token as the vocabulary writes it.
  public func token(of id: Int32) -> String? {
    (added.content(of: id) ?? decodingText(of: id)).map { String(decoding: $0, as: UTF8.self) }
  }
}
