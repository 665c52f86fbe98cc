/// What a split or replacement looks for.
enum TextPattern: Sendable {
  case literal([UInt8])
  /// A pattern with a scanner of its own.
  case words(WordScanner)
  case regex(RegexProgram)

  /// Hands each match in `text[start..<end]` to the body, from left to right.
  func forEachMatch(
    _ text: [UInt8], _ start: Int, _ end: Int, _ body: (Int, Int) -> Void
  ) {
    switch self {
    case .literal(let wanted):
      var offset = start
      while !wanted.isEmpty, offset + wanted.count <= end {
        if text[offset] == wanted[0], text[offset..<(offset + wanted.count)].elementsEqual(wanted) {
          body(offset, offset + wanted.count)
          offset += wanted.count
        } else {
          offset += 1
        }
      }
    case .words(let scanner):
      var list = PieceList(capacity: 16)
      scanner.cut(text.span, start, end, into: &list)
      for index in list.starts.indices { body(list.starts[index], list.ends[index]) }
    case .regex(let program):
      var matcher = RegexMatcher(program, text, start..<end)
      for match in matcher.matches() { body(match.lowerBound, match.upperBound) }
    }
  }

  /// The text with every match replaced.
  func replacing(_ text: [UInt8], with content: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count + text.count / 4)
    var position = 0
    forEachMatch(text, 0, text.count) { start, end in
      result.append(contentsOf: text[position..<start])
      result.append(contentsOf: content)
      position = end
    }
    result.append(contentsOf: text[position...])
    return result
  }
}
