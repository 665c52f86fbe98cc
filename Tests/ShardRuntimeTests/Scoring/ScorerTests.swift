import Foundation
import ShardRuntime
import TensorKernels
import Testing

@Suite struct ScorerTests {
  private let runner = CountingRunner(vocabularySize: 20)

  private func scorer(context: Int = 100) throws -> Scorer {
    Scorer(
      runner: runner, limits: SequenceLimits(context: context, vocabularySize: 20),
      compute: try ComputeContext(threads: 1))
  }

  @Test func wholeTextLeavesTheFirstIdOut() throws {
    let score = try scorer().score([4, 5, 6, 9])
    // 5 and 6 follow as foreseen, 9 does not.
    #expect(score.tokens == 3)
    #expect(abs(score.negativeLogLikelihood - (3 * runner.logSum - 4)) < 1e-9)
    let mean = score.negativeLogLikelihood / 3
    #expect(abs((score.perplexity ?? 0) - exp(mean)) < 1e-9)
    #expect(runner.runs.map(\.ids) == [[4, 5, 6]])
  }

  @Test func piecesEachRunAloneBehindBOS() throws {
    let ids: [Int32] = [1, 2, 3, 4, 5, 6, 7]
    let score = try scorer().score(ids, pieces: .behindBOS(0, context: 4))
    #expect(runner.runs.map(\.ids) == [[0, 1, 2], [0, 4, 5], [0]])
    #expect(runner.runs.allSatisfy { $0.firstPosition == 0 })
    #expect(runner.resets == 3)
    #expect(score.tokens == 7)
    #expect(score.pieceSums.count == 3)
    // In the pieces behind the first, the first id does not follow BOS.
    #expect(abs(score.pieceSums[0] - 3 * (runner.logSum - 2)) < 1e-9)
    #expect(abs(score.pieceSums[1] - (3 * runner.logSum - 4)) < 1e-9)
    #expect(abs(score.pieceSums[2] - runner.logSum) < 1e-9)
  }

  @Test func logitsComeInOrderAndGiveTheSameSum() throws {
    let ids: [Int32] = [1, 2, 3, 9, 5, 6, 7]
    let plain = try scorer().score(ids, pieces: .behindBOS(0, context: 4))
    var rows: [Float] = []
    let withLogits = try scorer().score(
      ids, pieces: .behindBOS(0, context: 4),
      logits: { values, first in
        #expect(first * 20 == rows.count)
        rows += values
      })
    #expect(rows.count == ids.count * 20)
    // Row i holds the logits that id i was scored from.
    #expect(rows[0 * 20 + 1] == 2 && rows[3 * 20 + 1] == 2 && rows[4 * 20 + 10] == 2)
    #expect(abs(plain.negativeLogLikelihood - withLogits.negativeLogLikelihood) < 1e-6)

    rows = []
    let whole = try scorer().score(ids, logits: { values, _ in rows += values })
    #expect(rows.count == ids.count * 20)
    #expect(rows[0 * 20 + 2] == 2 && rows[6 * 20 + 8] == 2)
    #expect(whole.tokens == 6)
  }

  @Test func aSingleIdHasNoPerplexity() throws {
    let score = try scorer().score([3])
    #expect(score.tokens == 0 && score.perplexity == nil)
  }

  @Test func refusesWhatDoesNotFit() throws {
    let ids = [Int32](repeating: 1, count: 11)
    #expect(
      performing: {
        _ = try scorer(context: 10).score(ids)
      }, throws: { ($0 as? GenerationFault)?.code == "generation.longerThanContext" })
    #expect(
      performing: {
        _ = try scorer(context: 10).score(ids, pieces: .behindBOS(0, context: 12))
      }, throws: { ($0 as? GenerationFault)?.code == "generation.longerThanContext" })
    #expect(try scorer(context: 10).score(ids, pieces: .behindBOS(0, context: 11)).tokens == 11)
    #expect(
      performing: {
        _ = try scorer().score(ids, pieces: .behindBOS(20, context: 5))
      }, throws: { ($0 as? GenerationFault)?.code == "generation.tokenOutsideVocabulary" })
  }

  @Test func endsWhereTheUserHasEnough() throws {
    let ids = [Int32](repeating: 1, count: 11)
    #expect(
      performing: {
        _ = try scorer().score(ids, pieces: .behindBOS(0, context: 4), progress: { $0 < 6 })
      }, throws: { ($0 as? GenerationFault)?.code == "generation.interrupted" })
    #expect(runner.runs.count == 2)
  }
}
