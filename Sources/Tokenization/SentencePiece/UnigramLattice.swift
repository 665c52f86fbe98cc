/// The best segmentation under a unigram language model.
///
/// Source: Kudo 2018. Scores, ties and the weight of user-defined pieces are those that
/// sentencepiece 0.2.3 shows.
struct UnigramLattice: Sendable {
  private let trie: ByteTrie
  private let scores: [Float]
  private let isUserDefined: [Bool]
  private let unknown: Int32
  private let unknownScore: Float

  private static let unknownPenalty: Float = 10

  init(_ pieces: [SentencePieceFile.Piece], unknown: Int32) {
    var trie = ByteTrie()
    var minimum = Float.greatestFiniteMagnitude
    for (id, piece) in pieces.enumerated() {
      if piece.kind == .normal { minimum = min(minimum, piece.score) }
      if piece.kind == .normal || piece.kind == .userDefined {
        trie.insert(piece.text, value: Int32(id))
      }
    }
    self.trie = trie
    scores = pieces.map(\.score)
    isUserDefined = pieces.map { $0.kind == .userDefined }
    self.unknown = unknown
    unknownScore = minimum - Self.unknownPenalty
  }

  private struct Node {
    var id: Int32 = -1
    var score: Float = 0
    /// Where the piece that ends here begins; -1 where none does.
    var start = -1
  }

  /// The pieces of the best path.
  func best(_ text: [UInt8]) -> [(id: Int32, start: Int, end: Int)] {
    var nodes = [Node](repeating: Node(), count: text.count + 1)
    var start = 0
    while start < text.count {
      let scoreHere = nodes[start].score
      let length = UTF8Text.length(firstByte: text[start])
      var hasSingle = false
      trie.forEachMatch(text.span, start, text.count) { matched, id in
        // A user-defined piece is preferred, a longer one more so.
        let score = isUserDefined[id] ? 0.1 * Float(matched - 1) : scores[id]
        let candidate = score + scoreHere
        Self.offer(&nodes[start + matched], Int32(id), candidate, start)
        if matched == length { hasSingle = true }
      }
      if !hasSingle {
        Self.offer(&nodes[start + length], unknown, unknownScore + scoreHere, start)
      }
      start += length
    }
    var path: [(id: Int32, start: Int, end: Int)] = []
    var end = text.count
    while end > 0 {
      path.append((nodes[end].id, nodes[end].start, end))
      end = nodes[end].start
    }
    return path.reversed()
  }

  private static func offer(_ node: inout Node, _ id: Int32, _ candidate: Float, _ start: Int) {
    guard node.start < 0 || candidate > node.score else { return }
    node = Node(id: id, score: candidate, start: start)
  }
}
