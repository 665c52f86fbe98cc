/// A result on its way, put together from its parts.
struct PendingResult: Sendable {
  private let output: StepOutput
  private let rows: Int
  private let vocabularySize: Int
  private var logits: [Float] = []
  private(set) var result: StepResult?

  init(_ output: StepOutput, rows: Int, vocabularySize: Int) {
    self.output = output
    self.rows = rows
    self.vocabularySize = vocabularySize
    if case .logits = output { logits.reserveCapacity(rows * vocabularySize) }
  }

  /// Takes a part.
  ///
  /// Throws: `runtime.unexpectedResult` where it is not what was asked for.
  mutating func take(_ part: ResultMessage.Part) throws(RuntimeFault) {
    guard result == nil else { throw Self.unexpected }
    switch (output, part) {
    case (.nothing, .done):
      result = StepResult.none
    case (.sample, .token(let token)) where token >= 0 && Int(token) < vocabularySize:
      result = .token(token)
    case (.logits, .logits(let values, let first))
    where first == logits.count && !values.isEmpty
      && values.count <= rows * vocabularySize - logits.count:
      logits += values
      if logits.count == rows * vocabularySize {
        result = .logits(logits)
        logits = []
      }
    case (.negativeLogLikelihood, .negativeLogLikelihood(let values)) where values.count == rows:
      result = .negativeLogLikelihood(values)
    default:
      throw Self.unexpected
    }
  }

  static var unexpected: RuntimeFault {
    RuntimeFault(
      "unexpectedResult", "the last node answered something else than it was asked for",
      exitStatus: .bug)
  }
}

extension StepResult {
  /// The result of chunk after chunk as that of one call.
  init(joining results: [StepResult]) {
    guard var joined = results.last else {
      self = .none
      return
    }
    switch joined {
    case .none, .token: break
    case .logits:
      var all: [Float] = []
      for case .logits(let values) in results { all += values }
      joined = .logits(all)
    case .negativeLogLikelihood:
      var all: [Double] = []
      for case .negativeLogLikelihood(let values) in results { all += values }
      joined = .negativeLogLikelihood(all)
    }
    self = joined
  }
}
