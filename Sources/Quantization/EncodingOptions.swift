/// How long an encoder searches for the codes and scales with the least error.
public enum Effort: String, Sendable, CaseIterable {
  /// A few candidates: as quick as the disk.
  case fast
  /// What the accuracy figures of the documentation are measured with.
  case standard = "default"
  /// Three times as many candidates, and row scales fitted again.
  case best
}

/// What an encoder is told beside the weights.
public struct EncodingOptions: Sendable {
  public var effort: Effort
  /// How much each column's error counts, for the model's output: at least 0 and finite. Nil
  /// where nothing is known; schemes may leave it out of account.
  public var importance: [Float]?

  public init(effort: Effort = .standard, importance: [Float]? = nil) {
    self.effort = effort
    self.importance = importance
  }

  public static let standard = EncodingOptions()
}
