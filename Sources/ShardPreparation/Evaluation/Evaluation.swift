import StrictJSON
import TensorCore

/// How a quantized model does beside the original, on the same tokens.
public struct Evaluation: Sendable {
  public static let schema = "shardtool.evaluation/1"

  /// Tokens that were foreseen.
  public let tokenCount: Int
  public let context: Int
  /// exp of the mean of −ln p, of both models.
  public let referencePerplexity: Estimate
  public let perplexity: Estimate
  /// Mean of −ln p less that of the reference, token by token.
  public let logarithmDifference: Estimate
  /// KL divergence in nats: the mean over the tokens, and what 99 % of them do not exceed.
  public let divergence: Estimate
  public let divergence99: Double
  /// Share of tokens where both models find the same id most probable.
  public let sameTop: Estimate
  /// Relative error of the hidden states behind each layer: √(Σ(h − h′)² / Σh²).
  public let layerErrors: [Double]
  /// What each tensor alone does to the outputs; nil where nobody asked.
  public internal(set) var sensitivity: [TensorSensitivity]?

  init(
    _ tokens: TokenComparisons, context: Int, layers: [SquareDifference],
    sensitivity: [TensorSensitivity]?
  ) {
    tokenCount = tokens.tested.count
    self.context = context
    let reference = Estimate(meanOf: tokens.reference)
    let tested = Estimate(meanOf: tokens.tested)
    referencePerplexity = reference.exponential
    perplexity = tested.exponential
    logarithmDifference = Estimate(
      meanOf: zip(tokens.tested, tokens.reference).map { $0 - $1 })
    divergence = Estimate(meanOf: tokens.divergence)
    divergence99 = tokens.quantile(0.99)
    sameTop = Estimate(meanOf: tokens.sameTop)
    layerErrors = layers.map(\.relative)
    self.sensitivity = sensitivity
  }

  public var json: JSONValue {
    var object: JSONObject = [
      "schema": .string(Self.schema), "tokens": JSONValue(tokenCount),
      "context": JSONValue(context), "reference_perplexity": referencePerplexity.json,
      "perplexity": perplexity.json, "log_perplexity_difference": logarithmDifference.json,
      "kl_divergence": divergence.json, "kl_divergence_99": .double(divergence99),
      "same_top": sameTop.json, "layer_errors": .array(layerErrors.map { .double($0) }),
    ]
    if let sensitivity { object["sensitivity"] = .array(sensitivity.map(\.json)) }
    return .object(object)
  }
}

/// Σh² and Σ(h − h′)² of something computed twice.
struct SquareDifference: Sendable {
  var power = 0.0
  var difference = 0.0

  var relative: Double { power > 0 ? (difference / power).squareRoot() : 0 }

  mutating func add(_ reference: Matrix, _ tested: Matrix, rows: Int) {
    for row in 0..<rows {
      reference.withRow(row) { left in
        tested.withRow(row) { right in
          for column in 0..<left.count {
            let value = Double(left[column])
            let error = value - Double(right[column])
            power += value * value
            difference += error * error
          }
        }
      }
    }
  }
}
