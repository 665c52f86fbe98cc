import TensorCore

/// A text cut into pieces that are run each by itself: consecutive pieces of `context - 1` ids, the
/// last one shorter, each behind BOS, so that every id is foreseen once.
struct TokenPieces: Sendable {
  struct Piece: Sendable {
    /// BOS and all ids but the last.
    let inputs: [Int32]
    /// What follows each input.
    let targets: [Int32]
  }

  let pieces: [Piece]
  let tokenCount: Int
  let context: Int

  /// Throws: `PreparationFault` for no ids, or ids that the model does not know.
  init(_ ids: [Int32], bos: Int32, context: Int, vocabulary: Int) throws(PreparationFault) {
    precondition(context >= 2, "a piece of context \(context) holds no id")
    guard !ids.isEmpty else {
      throw PreparationFault("noTokens", "the text has no tokens; give a longer one")
    }
    if let id = ([bos] + ids).first(where: { $0 < 0 || $0 >= vocabulary }) {
      throw PreparationFault(
        "tokenOutOfRange",
        "the text has the token id \(id), and the model knows ids up to \(vocabulary - 1); give "
          + "ids of this model's tokenizer")
    }
    self.context = context
    tokenCount = ids.count
    pieces = stride(from: 0, to: ids.count, by: context - 1).map { first in
      let targets = Array(ids[first..<min(ids.count, first + context - 1)])
      return Piece(inputs: [bos] + targets.dropLast(), targets: targets)
    }
  }

  /// Runs of pieces with at most `limit` tokens together, at least one piece each.
  func batches(tokens limit: Int) -> [ArraySlice<Piece>] {
    var result: [ArraySlice<Piece>] = []
    var first = 0
    var count = 0
    for (index, piece) in pieces.enumerated() {
      if index > first, count + piece.inputs.count > limit {
        result.append(pieces[first..<index])
        first = index
        count = 0
      }
      count += piece.inputs.count
    }
    result.append(pieces[first...])
    return result
  }
}

extension TokenPieces {
  private init(pieces: [Piece], context: Int) {
    self.pieces = pieces
    self.context = context
    tokenCount = pieces.reduce(0) { $0 + $1.targets.count }
  }

  /// Some of the pieces.
  func part(_ indices: [Int]) -> TokenPieces {
    TokenPieces(pieces: indices.map { pieces[$0] }, context: context)
  }
}
