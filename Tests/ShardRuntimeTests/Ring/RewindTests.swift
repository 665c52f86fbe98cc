import ShardRuntime
import ShardTransport
import TensorCore
import TestSupport
import Testing

/// Sequences that go back to an earlier position instead of beginning anew.
@Suite struct RewindTests {
  private struct Unexpected: Error {}

  private func logits(
    _ pipeline: InferencePipeline, _ ids: [Int32], at position: Int
  ) throws -> [Float] {
    guard
      case .logits(let logits) = try pipeline.run(ids, firstPosition: position, output: .logits)
    else { throw Unexpected() }
    return logits
  }

  @Test func whatFollowsEqualsAFreshRun() throws {
    let prompt = RingTests.prompt
    let other = Array(prompt.prefix(7)) + [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    let fresh = try InferencePipeline(stage: TinyPlan(cuts: []).stage(0))
    let expected = Array(try logits(fresh, other, at: 0).dropFirst(7 * TinyModel.vocabularySize))
    for cuts in [[], [3], [1, 2, 4]] {
      let cluster = try TinyCluster(TinyPlan(cuts: cuts))
      let pipeline = try cluster.pipeline()
      _ = try logits(pipeline, prompt, at: 0)
      #expect(try pipeline.rewind(to: prompt.count) == prompt.count)
      #expect(try pipeline.rewind(to: 12) == 12)
      _ = try logits(pipeline, [9, 9, 9], at: 12)
      #expect(try pipeline.rewind(to: 7) == 7)
      #expect(try logits(pipeline, Array(other.dropFirst(7)), at: 7) == expected, "cuts \(cuts)")
      // Further than the sequence goes, or to its start: nothing is kept.
      #expect(try pipeline.rewind(to: 40) == 0)
      #expect(
        try logits(pipeline, other, at: 0).suffix(expected.count).elementsEqual(expected))
      #expect(try pipeline.rewind(to: 0) == 0)
      pipeline.shutdown()
    }
  }

  @Test func cachesThatHaveForgottenBeginAnew() throws {
    let description = TinyPlan(cuts: []).description(0)
    let rule = RewindRule(rings: [.init(window: 4, capacity: 11)])
    let pipeline = try InferencePipeline(
      stage: Stage(
        description, executors: [TinyModel(layers: description.layers, rewinding: rule)]))
    _ = try logits(pipeline, RingTests.prompt, at: 0)
    // 21 positions were stored, of which 10 to 20 are there; position 13 attends to 10.
    #expect(try pipeline.rewind(to: 13) == 13)
    #expect(try pipeline.rewind(to: 12) == 0)
    _ = try logits(pipeline, [1], at: 0)
  }

  /// The rule against a cache that knows which version of a position each place holds.
  @Test func allowedPositionsAreStillThere() {
    let seed: UInt64 = 41
    var random = SeededGenerator(seed: seed)
    var allowed = 0
    for round in 0..<200 {
      let window = Int.random(in: 1...9, using: &random)
      let chunk = Int.random(in: 1...6, using: &random)
      let capacity = window + chunk - 1 + Int.random(in: 0...3, using: &random)
      let rule = RewindRule(rings: [.init(window: window, capacity: capacity)])
      var places = [(position: Int, version: Int)](repeating: (-1, -1), count: capacity)
      var versions = [Int](repeating: 0, count: 400)
      var (position, written) = (0, 0)
      for step in 0..<60 where position + chunk < 400 {
        let target = Int.random(in: 0...position, using: &random)
        if step % 3 == 2 {
          if rule.allows(target, written: written) {
            allowed += target > 0 ? 1 : 0
            position = target
          } else {
            #expect(target < written - chunk, "seed \(seed), round \(round)")
          }
        }
        let rows = Int.random(in: 1...chunk, using: &random)
        for row in position..<position + rows {
          versions[row] += 1
          places[row % capacity] = (row, versions[row])
        }
        for row in position..<position + rows {
          for seen in max(0, row - window + 1)...row {
            let place = places[seen % capacity]
            #expect(place == (seen, versions[seen]), "seed \(seed), round \(round)")
          }
        }
        position += rows
        written = max(written, position)
      }
    }
    #expect(allowed > 500)
    #expect(!RewindRule.never.allows(1, written: 5))
    #expect(RewindRule.never.allows(0, written: 5))
  }
}
