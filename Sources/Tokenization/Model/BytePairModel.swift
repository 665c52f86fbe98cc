/// Byte-pair encoding as `tokenizer.json` describes it.
///
/// Source: Sennrich et al. 2016; the behaviour in corners is that of the `tokenizers` library.
struct BytePairModel: Sendable {
  struct Options: Sendable {
    var unknown: Int32?
    var fusesUnknown = false
    /// The token for each byte a scalar falls back to; nil where that is off.
    var byteTokens: [Int32]?
    var ignoresMerges = false
    var continuingPrefix: [UInt8] = []
    var wordSuffix: [UInt8] = []
  }

  let vocabulary: Vocabulary
  let merges: MergeTable
  let options: Options
  /// Where a long text falls into parts that no merge joins.
  private let boundary: MetaspaceBoundary
  /// The symbol of each byte in byte-level text.
  private let byteSymbols: [Int32]
  /// The symbol of each ASCII character; -1 where there is none.
  private let asciiSymbols: [Int32]
  /// Tokens by the bytes they stand for in byte-level text, where merges may be skipped.
  private let byteLevelWords: ByteStringTable
  private let byteLevelIDs: [Int32]

  init(
    vocabulary: Vocabulary, merges: MergeTable, options: Options, boundary: MetaspaceBoundary
  ) {
    self.vocabulary = vocabulary
    self.merges = merges
    self.options = options
    self.boundary = boundary
    byteSymbols = ByteLevelAlphabet.scalars.map { scalar in
      var text: [UInt8] = []
      UTF8Text.append(scalar, to: &text)
      return vocabulary.id(of: text) ?? -1
    }
    asciiSymbols = (0..<128).map { vocabulary.id(of: [UInt8($0)]) ?? -1 }
    var words = ByteStringTable()
    var ids: [Int32] = []
    if options.ignoresMerges {
      words.reserve(vocabulary.count, byteCount: vocabulary.count * 8)
      for (token, id) in vocabulary.tokens {
        guard let bytes = ByteLevelAlphabet.decode(Array(token)), words.insert(bytes) != nil
        else { continue }
        ids.append(id)
      }
    }
    byteLevelWords = words
    byteLevelIDs = ids
  }

  /// Whether byte-level text can be taken byte by byte instead of by its stand-ins.
  var takesBytes: Bool { options.continuingPrefix.isEmpty && options.wordSuffix.isEmpty }

  // MARK: - Byte-level words

  /// Appends the ids of a word given as the bytes that its byte-level form stands for.
  func encodeBytes(
    _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ ids: inout [Int32],
    _ scratch: inout EncodingScratch
  ) {
    if options.ignoresMerges, let entry = byteLevelWords.find(text, start, end) {
      ids.append(byteLevelIDs[entry])
      return
    }
    let first = ids.count
    let isShort = end &- start <= WordCache.maximumWordByteCount
    let key = isShort ? WordCache.Key(text, start, end) : nil
    if let key, scratch.cache.append(key, to: &ids) { return }
    var isUnknown = false
    for offset in start..<end {
      let symbol = byteSymbols[Int(text[offset])]
      if symbol >= 0 {
        flushUnknown(&isUnknown, &ids)
        ids.append(symbol)
      } else {
        appendUnknownByteLevel(text[offset], &ids, &isUnknown)
      }
    }
    flushUnknown(&isUnknown, &ids)
    scratch.merger.merge(&ids, from: first, merges)
    if let key { scratch.cache.insert(key, ids, from: first) }
  }

  /// A byte whose stand-in is not in the vocabulary.
  private func appendUnknownByteLevel(
    _ byte: UInt8, _ ids: inout [Int32], _ isUnknown: inout Bool
  ) {
    var text: [UInt8] = []
    UTF8Text.append(ByteLevelAlphabet.scalars[Int(byte)], to: &text)
    appendUnknown(text.span, 0, text.count, &ids, &isUnknown)
  }

  // MARK: - Words of scalars

  /// Appends the ids of a word, or of a whole text where nothing splits it.
  func encode(
    _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ ids: inout [Int32],
    _ scratch: inout EncodingScratch
  ) {
    if options.ignoresMerges, let id = vocabulary.id(text, start, end) {
      ids.append(id)
      return
    }
    var partStart = start
    while partStart < end {
      let partEnd = boundary.next(text, after: partStart, end)
      encodePart(text, partStart, partEnd, &ids, &scratch)
      partStart = partEnd
    }
  }

  private func encodePart(
    _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ ids: inout [Int32],
    _ scratch: inout EncodingScratch
  ) {
    let isShort = end &- start <= WordCache.maximumWordByteCount
    let key = isShort ? WordCache.Key(text, start, end) : nil
    if let key, scratch.cache.append(key, to: &ids) { return }
    let first = ids.count
    appendSymbols(text, start, end, &ids)
    scratch.merger.merge(&ids, from: first, merges)
    if let key { scratch.cache.insert(key, ids, from: first) }
  }

  private func appendSymbols(
    _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ ids: inout [Int32]
  ) {
    var isUnknown = false
    var offset = start
    while offset < end {
      let first = text[offset]
      if takesBytes, first < 0x80, asciiSymbols[Int(first)] >= 0 {
        if isUnknown { flushUnknown(&isUnknown, &ids) }
        ids.append(asciiSymbols[Int(first)])
        offset &+= 1
        continue
      }
      let stop = offset + UTF8Text.length(firstByte: first)
      if takesBytes {
        if let id = vocabulary.id(text, offset, stop) {
          flushUnknown(&isUnknown, &ids)
          ids.append(id)
        } else {
          appendUnknown(text, offset, stop, &ids, &isUnknown)
        }
      } else {
        var symbol = offset > start ? options.continuingPrefix : []
        for index in offset..<stop { symbol.append(text[index]) }
        if stop == end { symbol += options.wordSuffix }
        if let id = vocabulary.id(of: symbol) {
          flushUnknown(&isUnknown, &ids)
          ids.append(id)
        } else {
          appendUnknown(symbol.span, 0, symbol.count, &ids, &isUnknown)
        }
      }
      offset = stop
    }
    flushUnknown(&isUnknown, &ids)
  }

  /// Falls back to bytes, or keeps an unknown token pending; a known symbol or the end of the
  /// word writes it.
  private func appendUnknown(
    _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ ids: inout [Int32],
    _ isUnknown: inout Bool
  ) {
    if let byteTokens = options.byteTokens {
      let first = ids.count
      for offset in start..<end { ids.append(byteTokens[Int(text[offset])]) }
      if !ids[first...].contains(-1) { return }
      ids.removeSubrange(first...)
    }
    guard let unknown = options.unknown else { return }
    if isUnknown, !options.fusesUnknown { ids.append(unknown) }
    isUnknown = true
  }

  private func flushUnknown(_ isUnknown: inout Bool, _ ids: inout [Int32]) {
    guard isUnknown, let unknown = options.unknown else { return }
    ids.append(unknown)
    isUnknown = false
  }
}

/// Working memory of one encoding call.
struct EncodingScratch {
  var merger = Merger()
  var cache = WordCache()
}
