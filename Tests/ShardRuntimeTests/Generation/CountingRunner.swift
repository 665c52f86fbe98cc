import Foundation
import ShardRuntime

/// A model without weights: the token after id n at position p is (n + 1) modulo the vocabulary,
/// and the logits of a row are 0 but for 2 at that token.
final class CountingRunner: SequenceRunner {
  let vocabularySize: Int
  private(set) var runs: [(ids: [Int32], firstPosition: Int)] = []
  private(set) var resets = 0
  private var nextPosition = 0
  /// Whether positions can be kept from one prompt to the next.
  var canRewind = true
  /// A step at which the ring breaks.
  var failsAtRun: Int?

  struct Broken: Error {}

  init(vocabularySize: Int) { self.vocabularySize = vocabularySize }

  func reset() throws {
    resets += 1
    nextPosition = 0
  }

  func rewind(to count: Int) throws -> Int {
    guard canRewind, count > 0, count <= nextPosition else {
      try reset()
      return 0
    }
    nextPosition = count
    return count
  }

  func run(_ ids: [Int32], firstPosition: Int, output: StepOutput) throws -> StepResult {
    precondition(firstPosition == nextPosition, "positions must be consecutive")
    if runs.count == failsAtRun { throw Broken() }
    runs.append((ids, firstPosition))
    nextPosition += ids.count
    switch output {
    case .nothing: return .none
    case .sample: return .token(follower(ids[ids.count - 1]))
    case .logits:
      var rows = [Float](repeating: 0, count: ids.count * vocabularySize)
      for (row, id) in ids.enumerated() { rows[row * vocabularySize + Int(follower(id))] = 2 }
      return .logits(rows)
    case .negativeLogLikelihood(let targets):
      return .negativeLogLikelihood(
        zip(ids, targets).map { id, target in logSum - (target == follower(id) ? 2 : 0) })
    }
  }

  func follower(_ id: Int32) -> Int32 { (id + 1) % Int32(vocabularySize) }

  /// ln of the sum of e^logit over a row.
  var logSum: Double { log(exp(2.0) + Double(vocabularySize - 1)) }
}
