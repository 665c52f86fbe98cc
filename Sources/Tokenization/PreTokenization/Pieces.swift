/// A text and the pieces it was cut into.
struct Pieces {
  var bytes: [UInt8]
  /// Where each piece begins and ends in `bytes`; in order, none empty.
  private(set) var starts: [Int]
  private(set) var ends: [Int]
  /// Whether the first piece begins where the whole input began.
  var beginsInput: Bool

  init(_ bytes: [UInt8], beginsInput: Bool) {
    self.bytes = bytes
    starts = bytes.isEmpty ? [] : [0]
    ends = bytes.isEmpty ? [] : [bytes.count]
    self.beginsInput = beginsInput
  }

  var count: Int { starts.count }

  /// Whether a piece begins where the whole input began.
  func beginsInput(_ index: Int) -> Bool { beginsInput && index == 0 && starts[0] == 0 }

  /// Cuts every piece further: the body appends the new pieces of one to the list.
  mutating func cut(_ body: (borrowing Span<UInt8>, Int, Int, inout PieceList) -> Void) {
    var list = PieceList(capacity: count * 2)
    for index in 0..<count { body(bytes.span, starts[index], ends[index], &list) }
    starts = list.starts
    ends = list.ends
  }

  /// Rewrites the text of every piece; the body appends the new text.
  mutating func rewrite(_ body: (Int, ArraySlice<UInt8>, inout [UInt8]) -> Void) {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + bytes.count / 8)
    var list = PieceList(capacity: count)
    let startedAtZero = beginsInput && starts.first == 0
    for index in 0..<count {
      let start = result.count
      body(index, bytes[starts[index]..<ends[index]], &result)
      list.append(start, result.count)
    }
    beginsInput = startedAtZero
    bytes = result
    starts = list.starts
    ends = list.ends
  }
}

/// Pieces as they are found.
struct PieceList {
  fileprivate(set) var starts: [Int] = []
  fileprivate(set) var ends: [Int] = []

  init(capacity: Int) {
    starts.reserveCapacity(capacity)
    ends.reserveCapacity(capacity)
  }

  /// Adds a piece unless it is empty.
  @inline(__always)
  mutating func append(_ start: Int, _ end: Int) {
    if start < end {
      starts.append(start)
      ends.append(end)
    }
  }
}

/// What becomes of the places where a pattern matches.
enum SplitBehavior: String, Sendable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"
}

/// Turns matches of a pattern, and what lies between, into pieces.
struct PieceSplitter {
  private struct Part {
    var start: Int
    var end: Int
    var isMatch: Bool
  }

  private let behavior: SplitBehavior
  private let isInverted: Bool
  private var parts: [Part] = []
  private var position: Int

  init(_ behavior: SplitBehavior, isInverted: Bool, start: Int) {
    self.behavior = behavior
    self.isInverted = isInverted
    position = start
  }

  /// Notes a match; matches come from left to right.
  mutating func match(_ start: Int, _ end: Int) {
    if position < start { parts.append(Part(start: position, end: start, isMatch: isInverted)) }
    parts.append(Part(start: start, end: end, isMatch: !isInverted))
    position = end
  }

  /// Appends the pieces of the text up to `end`.
  mutating func finish(_ end: Int, into list: inout PieceList) {
    if position < end { parts.append(Part(start: position, end: end, isMatch: isInverted)) }
    switch behavior {
    case .isolated: for part in parts { list.append(part.start, part.end) }
    case .removed: for part in parts where !part.isMatch { list.append(part.start, part.end) }
    case .contiguous: appendJoined(into: &list) { part, previous in part.isMatch == previous }
    case .mergedWithPrevious:
      appendJoined(into: &list) { part, previous in part.isMatch && !previous }
    case .mergedWithNext: appendMergedWithNext(into: &list)
    }
  }

  /// Joins a part with those before it where `joins` says so; the state before the first part
  /// counts as no match.
  private func appendJoined(into list: inout PieceList, _ joins: (Part, Bool) -> Bool) {
    var pieces: [(start: Int, end: Int)] = []
    var previous = false
    for part in parts {
      if joins(part, previous), let last = pieces.indices.last {
        pieces[last].end = part.end
      } else {
        pieces.append((part.start, part.end))
      }
      previous = part.isMatch
    }
    for piece in pieces { list.append(piece.start, piece.end) }
  }

  private func appendMergedWithNext(into list: inout PieceList) {
    var pieces: [(start: Int, end: Int)] = []
    var previous = false
    for part in parts.reversed() {
      if part.isMatch, !previous, let last = pieces.indices.last {
        pieces[last].start = part.start
      } else {
        pieces.append((part.start, part.end))
      }
      previous = part.isMatch
    }
    for piece in pieces.reversed() { list.append(piece.start, piece.end) }
  }
}
