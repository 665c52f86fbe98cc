/// How the next token is chosen from its logits.
public struct SamplingParameters: Sendable, Equatable {
  /// Divides the logits; 0 takes the largest one (greedy) and ignores the other values.
  public var temperature: Float
  /// Keeps this many of the most probable tokens; 0 keeps all.
  public var topK: Int
  /// Keeps the smallest set of most probable tokens whose probabilities reach this sum; 1: all.
  public var topP: Float
  /// Seeds the random numbers: equal seeds, equal tokens.
  public var seed: UInt64

  public init(temperature: Float = 0, topK: Int = 0, topP: Float = 1, seed: UInt64 = 0) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.seed = seed
  }

  /// The most probable token at every step.
  public static let greedy = SamplingParameters()

  public var isGreedy: Bool { temperature <= 0 }
}
