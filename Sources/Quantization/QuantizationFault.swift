import TensorCore

/// A recipe, a scheme or a quantized checkpoint that cannot be used.
public struct QuantizationFault: Fault {
  public let code: String
  public let message: String
  public let exitStatus: ExitStatus
  public let context: [String: String]

  public init(
    _ reason: String, _ message: String, exitStatus: ExitStatus = .badData,
    context: [String: String] = [:]
  ) {
    code = "quantization.\(reason)"
    self.message = message
    self.exitStatus = exitStatus
    self.context = context
  }
}
