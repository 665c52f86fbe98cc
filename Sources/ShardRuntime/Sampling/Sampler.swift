/// Chooses tokens from logits.
///
/// The order is that of Hugging Face's `generate`: logits ÷ temperature, then top-k, then top-p on
/// the probabilities of what top-k left, then a draw from what top-p left. The result is a pure
/// function of logits, parameters and step: neither threads nor nodes nor the system's
/// mathematical library play a part.
public enum Sampler {
  /// The token for one step.
  ///
  /// NaN counts as minus infinity; the lowest id wins a tie of the largest logit.
  ///
  /// Precondition: there is at least one logit.
  public static func sample(
    _ logits: Span<Float>, _ parameters: SamplingParameters, step: Int
  ) -> Int32 {
    precondition(!logits.isEmpty, "there are no logits to sample from")
    let best = indexOfLargest(logits)
    if parameters.isGreedy || parameters.topK == 1 || parameters.topP <= 0 { return Int32(best) }
    let largest = logits[best]
    guard largest.isFinite else { return Int32(best) }
    let threshold = topKThreshold(logits, count: parameters.topK)
    let temperature = Double(parameters.temperature)
    var candidates: [Candidate] = []
    var total = 0.0
    for index in logits.indices where logits[index] >= threshold {
      let exponent = (Double(logits[index]) - Double(largest)) / temperature
      let weight = ExactExponential.ofNonPositive(exponent)
      guard weight > 0 else { continue }
      candidates.append(Candidate(index: Int32(index), weight: weight))
      total += weight
    }
    if parameters.topP < 1 {
      total = keepNucleus(&candidates, total: total, topP: Double(parameters.topP))
    }
    let target = CounterBasedRandom.uniform(seed: parameters.seed, step: step) * total
    var reached = 0.0
    for candidate in candidates {
      reached += candidate.weight
      if reached > target { return candidate.index }
    }
    return candidates.last?.index ?? Int32(best)
  }

  private struct Candidate {
    let index: Int32
    let weight: Double
  }

  private static func indexOfLargest(_ logits: Span<Float>) -> Int {
    var best = 0
    var largest = -Float.infinity
    for index in logits.indices where logits[index] > largest {
      best = index
      largest = logits[index]
    }
    return best
  }

  /// The value of the `count`-th largest logit: what equals it stays too, as in Hugging Face.
  private static func topKThreshold(_ logits: Span<Float>, count: Int) -> Float {
    guard count > 0, count < logits.count else { return -Float.infinity }
    // A heap of the largest values so far, the smallest of them at the root.
    var heap = [Float](repeating: -Float.infinity, count: count)
    for index in logits.indices where logits[index] > heap[0] {
      var hole = 0
      while true {
        var child = 2 * hole + 1
        guard child < count else { break }
        if child + 1 < count, heap[child + 1] < heap[child] { child += 1 }
        guard heap[child] < logits[index] else { break }
        heap[hole] = heap[child]
        hole = child
      }
      heap[hole] = logits[index]
    }
    return heap[0]
  }

  /// Leaves the fewest most probable candidates that reach `topP` of the total, at least one, and
  /// returns the sum of their weights.
  ///
  /// All candidates below (1 - topP) / count together cannot reach 1 - topP: they are outside
  /// whatever their order is, so that only the others are sorted.
  private static func keepNucleus(
    _ candidates: inout [Candidate], total: Double, topP: Double
  ) -> Double {
    let negligible = total * (1 - topP) / Double(candidates.count)
    candidates.removeAll { $0.weight < negligible }
    candidates.sort { ($0.weight, $1.index) > ($1.weight, $0.index) }
    var kept = 0.0
    var count = 0
    for candidate in candidates {
      kept += candidate.weight
      count += 1
      if kept >= total * topP { break }
    }
    candidates.removeLast(candidates.count - count)
    return kept
  }
}
