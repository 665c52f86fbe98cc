/// A regular expression as a tree.
indirect enum RegexNode: Sendable {
  case empty
  case set(ScalarSet)
  case sequence([RegexNode])
  case alternation([RegexNode])
  case repetition(RegexNode, minimum: Int, maximum: Int?, Kind)
  case look(RegexNode, isAhead: Bool, isNegative: Bool)
  /// Matches as it would alone; what it took is not given back.
  case atomic(RegexNode)
  case assertion(Assertion)

  enum Kind: Sendable { case greedy, lazy, possessive }

  enum Assertion: Sendable {
    case lineStart, lineEnd, textStart, textEnd, textEndOrLastNewline, wordBoundary
    case notWordBoundary
  }

  /// Whether the expression can match without taking anything.
  var canBeEmpty: Bool {
    switch self {
    case .empty, .look, .assertion: true
    case .set: false
    case .sequence(let nodes): nodes.allSatisfy(\.canBeEmpty)
    case .alternation(let nodes): nodes.contains { $0.canBeEmpty }
    case .repetition(let node, let minimum, _, _): minimum == 0 || node.canBeEmpty
    case .atomic(let node): node.canBeEmpty
    }
  }

  /// Longer matches are no match of a fixed length to us.
  private static let maximumLength = 1 << 16

  /// The number of scalars every match takes; nil where it varies.
  var fixedLength: Int? {
    switch self {
    case .empty, .look, .assertion: return 0
    case .set: return 1
    case .sequence(let nodes):
      var total = 0
      for node in nodes {
        guard let length = node.fixedLength else { return nil }
        total += length
        guard total <= Self.maximumLength else { return nil }
      }
      return total
    case .alternation(let nodes):
      let lengths = Set(nodes.map(\.fixedLength))
      return lengths.count == 1 ? lengths.first ?? nil : nil
    case .repetition(let node, let minimum, let maximum, _):
      guard minimum == maximum, let length = node.fixedLength else { return nil }
      // Both are small: the one by this limit, the other by the parser's.
      let total = length * minimum
      return total <= Self.maximumLength ? total : nil
    case .atomic(let node): return node.fixedLength
    }
  }
}

/// Why a pattern is not usable.
struct RegexError: Error, Sendable {
  let message: String
}
