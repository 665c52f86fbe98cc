import TensorCore

/// A checkpoint that cannot be prepared, or a place that cannot take the result.
public struct PreparationFault: Fault {
  public let code: String
  public let message: String
  public let exitStatus: ExitStatus
  public let context: [String: String]

  public init(
    _ reason: String, _ message: String, exitStatus: ExitStatus = .badData,
    context: [String: String] = [:]
  ) {
    code = "preparation.\(reason)"
    self.message = message
    self.exitStatus = exitStatus
    self.context = context
  }
}
