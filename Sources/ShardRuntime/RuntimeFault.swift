import TensorCore

/// A run across nodes that cannot begin or go on.
public struct RuntimeFault: Fault {
  public let code: String
  public let message: String
  public let exitStatus: ExitStatus
  public let context: [String: String]

  public init(
    _ code: String, _ message: String, exitStatus: ExitStatus = .unavailable,
    context: [String: String] = [:]
  ) {
    self.code = "runtime." + code
    self.message = message
    self.exitStatus = exitStatus
    self.context = context
  }
}
