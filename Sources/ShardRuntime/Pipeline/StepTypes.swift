/// What is wanted from the ids of one call.
public enum StepOutput: Sendable, Equatable {
  /// Only their keys and values: a prompt's beginning.
  case nothing
  /// The token that follows the last id; `step` counts the draws of one seed.
  case sample(SamplingParameters, step: Int)
  /// The logits after every id.
  case logits
  /// -ln p of one target after each id.
  case negativeLogLikelihood(targets: [Int32])
}

/// What a call returns, one case for each of `StepOutput`.
public enum StepResult: Sendable, Equatable {
  case none
  case token(Int32)
  /// Shapes: ids × vocabulary, row by row.
  case logits([Float])
  /// One value for each id.
  case negativeLogLikelihood([Double])
}
