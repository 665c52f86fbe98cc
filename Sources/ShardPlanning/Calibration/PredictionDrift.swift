import TensorCore

/// How far a measured time is from the predicted one.
public struct PredictionDrift: Sendable, Equatable {
  public let measuredSeconds: Double
  public let predictedSeconds: Double

  /// Beyond this share users are told.
  public static let tolerance = 0.25

  public init(measuredSeconds: Double, predictedSeconds: Double) {
    self.measuredSeconds = measuredSeconds
    self.predictedSeconds = predictedSeconds
  }

  /// The drift of a token's time from a plan's prediction.
  public init(tokenSeconds: Double, plan: ShardPlan) {
    self.init(
      measuredSeconds: tokenSeconds,
      predictedSeconds: Double(plan.prediction.tokenNanoseconds) * 1e-9)
  }

  /// 0.3 where it took 30 % longer than predicted.
  public var share: Double { measuredSeconds / max(1e-9, predictedSeconds) - 1 }

  public var isLarge: Bool { abs(share) > Self.tolerance }

  /// What is wrong and what to do, where the drift is large.
  public var warning: String? {
    guard isLarge else { return nil }
    let much =
      share > 0
      ? "\(Quantity.fixed(share * 100, digits: 0)) % longer"
      : "\(Quantity.fixed(-share * 100, digits: 0)) % less"
    return "a token took \(much) than predicted: the machines are not as the plan takes them to "
      + "be; keep the result of shardrun bench --json and give it to shardtool plan --calibrate"
  }
}
