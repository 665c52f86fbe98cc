/// Byte-pair encoding by score: of all neighbours whose union is a piece, the union with the best
/// score goes first, of equal ones the leftmost.
///
/// The pieces are turned into merges once: every way to cut a piece into two symbols. A symbol is
/// a piece or a single scalar; equal scores get equal ranks.
///
/// Source: sentencepiece, `bpe_model.cc`.
struct SentencePieceMerges: Sendable {
  /// Pieces, then single scalars that are no piece but part of one.
  private let symbols: ByteStringTable
  /// The id of each symbol; -1 for scalars that are no piece.
  private let ids: [Int32]
  private let merges: MergeTable
  private let boundary: MetaspaceBoundary
  private let userDefined: ByteTrie
  /// Symbols that are pieces not to be used.
  private let unused: Set<Int32>

  /// Scalars that no piece contains become symbols from here on.
  private static let unknownBase: Int32 = 0x4000_0000

  init(
    _ pieces: [SentencePieceFile.Piece], _ textual: ByteStringTable, _ textualIDs: [Int32],
    _ userDefined: ByteTrie
  ) {
    var symbols = textual
    var ids = textualIDs
    for entry in 0..<textual.count {
      let text = textual[entry]
      var offset = text.startIndex
      while offset < text.endIndex {
        let end = offset + UTF8Text.length(firstByte: text[offset])
        if symbols.insert(text[offset..<end]) != nil { ids.append(-1) }
        offset = end
      }
    }
    let scores = Set(textualIDs.map { pieces[Int($0)].score }).sorted(by: >)
    var ranks: [Float: UInt32] = [:]
    for (rank, score) in scores.enumerated() { ranks[score] = UInt32(rank) }

    var merges = MergeTable(capacity: textual.count * 2)
    var joining: Set<UInt32> = []
    for entry in 0..<textual.count {
      let text = Array(textual[entry])
      let rank = ranks[pieces[Int(textualIDs[entry])].score] ?? 0
      var cut = UTF8Text.length(firstByte: text[0])
      while cut < text.count {
        if let left = symbols.find(text.span, 0, cut),
          let right = symbols.find(text.span, cut, text.count)
        {
          merges.insert(
            Int32(left), Int32(right), MergeTable.Merge(rank: rank, result: Int32(entry)))
          if UTF8Text.scalar(text, cut).value == MetaspaceBoundary.mark {
            joining.insert(UTF8Text.scalar(text, before: cut).value)
          }
        }
        cut += UTF8Text.length(firstByte: text[cut])
      }
    }
    self.symbols = symbols
    self.ids = ids
    self.merges = merges
    self.userDefined = userDefined
    unused = Set(
      textualIDs.indices.filter { pieces[Int(textualIDs[$0])].kind == .unused }.map { Int32($0) })
    let hasMark = textual.find(MetaspaceBoundary.markBytes) != nil
    boundary = MetaspaceBoundary(isOn: hasMark && unused.isEmpty, joining: joining)
  }

  /// Appends the ids of a normalized text.
  func encode(
    _ text: [UInt8], _ model: SentencePieceModel, _ result: inout [Int32],
    _ scratch: inout EncodingScratch
  ) {
    var output = SentencePieceOutput(model: model)
    guard unused.isEmpty else {
      return encodeAvoidingUnused(text, model, &output, &result, &scratch)
    }
    var start = 0
    while start < text.count {
      let (end, match) = nextUserDefined(text, start)
      while start < end {
        let partEnd = boundary.next(text.span, after: start, end)
        encodePart(text.span, start, partEnd, model, &output, &result, &scratch)
        start = partEnd
      }
      if let match {
        output.append(Int32(match.value), text.span, start, start + match.length, &result)
        start += match.length
      }
    }
  }

  /// Where the text before the next user-defined piece ends, and that piece.
  private func nextUserDefined(
    _ text: [UInt8], _ start: Int
  ) -> (end: Int, match: (length: Int, value: Int)?) {
    guard !userDefined.isEmpty else { return (text.count, nil) }
    var offset = start
    while offset < text.count {
      if let match = userDefined.longestMatch(text.span, offset, text.count) {
        return (offset, match)
      }
      offset += UTF8Text.length(firstByte: text[offset])
    }
    return (text.count, nil)
  }

  private func encodePart(
    _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ model: SentencePieceModel,
    _ output: inout SentencePieceOutput, _ result: inout [Int32],
    _ scratch: inout EncodingScratch
  ) {
    // Only words without unknown parts are remembered: those need the state of the output.
    let isShort = end - start <= WordCache.maximumWordByteCount
    let key = isShort ? WordCache.Key(text, start, end) : nil
    if let key, scratch.cache.append(key, to: &result) {
      output = SentencePieceOutput(model: model)
      return
    }
    let first = result.count
    appendSymbols(text, start, end, &result)
    scratch.merger.merge(&result, from: first, merges)
    if replaceByIDs(&result, from: first) {
      output = SentencePieceOutput(model: model)
      if let key { scratch.cache.insert(key, result, from: first) }
    } else {
      let merged = Array(result[first...])
      result.removeSubrange(first...)
      write(merged, text, start, &output, model, &result)
    }
  }

  private func appendSymbols(
    _ text: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ result: inout [Int32]
  ) {
    var offset = start
    while offset < end {
      let (scalar, length) = UTF8Text.scalar(text, offset)
      if let symbol = symbols.find(text, offset, offset + length) {
        result.append(Int32(symbol))
      } else {
        result.append(Self.unknownBase + Int32(scalar))
      }
      offset += length
    }
  }

  /// Turns symbols into ids where all are pieces; else leaves them.
  private func replaceByIDs(_ result: inout [Int32], from first: Int) -> Bool {
    for index in first..<result.count {
      let symbol = result[index]
      guard symbol < Self.unknownBase, ids[Int(symbol)] >= 0 else { return false }
    }
    for index in first..<result.count { result[index] = ids[Int(result[index])] }
    return true
  }

  private func write(
    _ merged: [Int32], _ text: borrowing Span<UInt8>, _ start: Int,
    _ output: inout SentencePieceOutput, _ model: SentencePieceModel, _ result: inout [Int32]
  ) {
    var offset = start
    for symbol in merged {
      if symbol < Self.unknownBase {
        let end = offset + symbols[Int(symbol)].count
        let id = ids[Int(symbol)] >= 0 ? ids[Int(symbol)] : model.unknown
        output.append(id, text, offset, end, &result)
        offset = end
      } else {
        let end = offset + UTF8Text.length(firstByte: text[offset])
        output.append(model.unknown, text, offset, end, &result)
        offset = end
      }
    }
  }

  // MARK: - Unused pieces

  /// Pieces not to be used take part in merging, and fall into their halves at the end.
  private func encodeAvoidingUnused(
    _ text: [UInt8], _ model: SentencePieceModel, _ output: inout SentencePieceOutput,
    _ result: inout [Int32], _ scratch: inout EncodingScratch
  ) {
    var halves: [Int32: (Int32, Int32)] = [:]
    var parts: [(symbols: [Int32], start: Int)] = []
    var start = 0
    while start < text.count {
      let (end, match) = nextUserDefined(text, start)
      var symbols: [Int32] = []
      appendSymbols(text.span, start, end, &symbols)
      scratch.merger.mergeLong(&symbols, 0, merges) { left, right, union in
        if unused.contains(union) { halves[union] = (left, right) }
      }
      parts.append((symbols, start))
      start = end
      if let match {
        let symbol = self.symbols.find(text.span, start, start + match.length)
        parts.append(([Int32(symbol ?? 0)], start))
        start += match.length
      }
    }
    for part in parts {
      var symbols: [Int32] = []
      for symbol in part.symbols { appendHalves(symbol, halves, &symbols) }
      write(symbols, text.span, part.start, &output, model, &result)
    }
  }

  private func appendHalves(
    _ symbol: Int32, _ halves: [Int32: (Int32, Int32)], _ symbols: inout [Int32]
  ) {
    var open = [symbol]
    while let next = open.popLast() {
      if unused.contains(next), let (left, right) = halves[next] {
        open.append(right)
        open.append(left)
      } else {
        symbols.append(next)
      }
    }
  }
}
