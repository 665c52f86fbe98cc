/// What a tensor does in a model; recipes choose a scheme by it.
public enum TensorRole: String, Sendable, CaseIterable {
  case tokenEmbedding
  case positionEmbedding
  case attentionQuery
  case attentionKey
  case attentionValue
  /// Query, key and value in one matrix.
  case attentionQueryKeyValue
  case attentionOutput
  case mlpGate
  case mlpUp
  /// Gate and up projection in one matrix.
  case mlpGateUp
  case mlpDown
  /// Chooses the experts of a mixture.
  case router
  case head
  case norm
  case bias

  /// Whether recipes may choose a scheme: all other roles keep the type they are stored in.
  public var isQuantizable: Bool {
    switch self {
    case .router, .norm, .bias, .positionEmbedding: false
    default: true
    }
  }
}
