import Foundation
import ShardRuntime
import Testing

@Suite struct SamplerTests {
  private func sample(_ logits: [Float], _ parameters: SamplingParameters, step: Int = 0) -> Int32 {
    Sampler.sample(logits.span, parameters, step: step)
  }

  /// How often each token comes in so many steps.
  private func frequencies(
    _ logits: [Float], _ parameters: SamplingParameters, draws: Int = 20_000
  ) -> [Double] {
    var counts = [Int](repeating: 0, count: logits.count)
    for step in 0..<draws { counts[Int(sample(logits, parameters, step: step))] += 1 }
    return counts.map { Double($0) / Double(draws) }
  }

  @Test func greedyTakesTheLowestOfEqualIds() {
    #expect(sample([1, 3, 3, 2], .greedy) == 1)
    #expect(sample([.nan, -2, -1, .nan], .greedy) == 2)
    #expect(sample([.nan], .greedy) == 0)
    #expect(sample([0, .infinity, 5], SamplingParameters(temperature: 1)) == 1)
  }

  @Test func philoxMeetsThePublishedVectors() {
    let zero = CounterBasedRandom.words(counter: (0, 0, 0, 0), key: (0, 0))
    #expect(zero == (0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    let ones: UInt32 = 0xffff_ffff
    let full = CounterBasedRandom.words(counter: (ones, ones, ones, ones), key: (ones, ones))
    #expect(full == (0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    let digitsOfPi = CounterBasedRandom.words(
      counter: (0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344),
      key: (0xa409_3822, 0x299f_31d0))
    #expect(digitsOfPi == (0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  @Test func temperatureGivesTheSoftmax() {
    let logits: [Float] = [0, 1, 2]
    let found = frequencies(logits, SamplingParameters(temperature: 2, seed: 7))
    // softmax(0, 0.5, 1)
    for (value, expected) in zip(found, [0.18632, 0.30720, 0.50648]) {
      #expect(abs(value - expected) < 0.012)
    }
  }

  @Test func topKKeepsTheLargestAndTheirEquals() {
    let two = frequencies([0, 1, 2, 0.5], SamplingParameters(temperature: 1, topK: 2))
    #expect(two[0] == 0 && two[3] == 0 && two[1] > 0.2 && two[2] > 0.6)
    let tied = frequencies([0, 1, 1, 1], SamplingParameters(temperature: 1, topK: 2))
    #expect(tied[0] == 0 && tied[1] > 0.3 && tied[2] > 0.3 && tied[3] > 0.3)
    let all = frequencies([0, 0, 0, 0], SamplingParameters(temperature: 1, topK: 9))
    #expect(all.allSatisfy { $0 > 0.2 })
  }

  @Test func topPKeepsTheFewestThatReachIt() {
    // Probabilities 0.5, 0.3, 0.15, 0.05.
    let logits: [Float] = [-0.693_147, -1.203_973, -1.897_120, -2.995_732]
    let half = frequencies(logits, SamplingParameters(temperature: 1, topP: 0.4))
    #expect(half[0] == 1)
    let most = frequencies(logits, SamplingParameters(temperature: 1, topP: 0.79))
    #expect(abs(most[0] - 0.625) < 0.012 && abs(most[1] - 0.375) < 0.012)
    let nearlyAll = frequencies(logits, SamplingParameters(temperature: 1, topP: 0.9))
    #expect(nearlyAll[2] > 0.1 && nearlyAll[3] == 0)
    #expect(sample(logits, SamplingParameters(temperature: 1, topP: 0)) == 0)
  }

  /// Top-p sees the probabilities that top-k left: 0.5 and 0.3 become 0.625 and 0.375.
  @Test func topPComesAfterTopK() {
    let logits: [Float] = [-0.693_147, -1.203_973, -1.897_120, -2.995_732]
    let found = frequencies(logits, SamplingParameters(temperature: 1, topK: 2, topP: 0.6))
    #expect(found[0] == 1)
  }

  /// A plain statement of the same rule: sort everything, cut, draw.
  @Test func largeVocabulariesMeetAPlainSort() {
    var logits = [Float](repeating: 0, count: 5000)
    for index in logits.indices {
      let u = CounterBasedRandom.uniform(seed: 99, step: index)
      logits[index] = Float(u * u * 12)
    }
    let parameters = SamplingParameters(temperature: 0.8, topK: 300, topP: 0.9, seed: 3)
    let order = logits.indices.sorted { (logits[$0], $1) > (logits[$1], $0) }.prefix(300)
    let weights = order.map { exp(Double(logits[$0] - logits[order[0]]) / 0.8) }
    let total = weights.reduce(0, +)
    var kept = 0
    var sum = 0.0
    while sum < 0.9 * total {
      sum += weights[kept]
      kept += 1
    }
    for step in 0..<200 {
      let target = CounterBasedRandom.uniform(seed: 3, step: step) * sum
      var expected = 0
      var reached = weights[0]
      while reached <= target {
        expected += 1
        reached += weights[expected]
      }
      #expect(Int(sample(logits, parameters, step: step)) == order[expected])
    }
    #expect(kept > 20 && kept < 300)
  }

  @Test func equalSeedsAndStepsGiveEqualTokens() {
    let logits = (0..<100).map { Float($0 % 7) }
    let parameters = SamplingParameters(temperature: 1.3, topK: 50, topP: 0.95, seed: 12345)
    let first = (0..<50).map { sample(logits, parameters, step: $0) }
    let second = (0..<50).map { sample(logits, parameters, step: $0) }
    #expect(first == second)
    var other = parameters
    other.seed = 12346
    #expect(first != (0..<50).map { sample(logits, other, step: $0) })
  }

  /// Recorded once; any system and any later version draws the same.
  @Test func drawsStayAsTheyWere() {
    #expect(CounterBasedRandom.uniform(seed: 0, step: 0) == 0.399_046_470_848_964_5)
  }
}
