import TensorCore

/// A connection that could not be made or kept, or a peer that does not keep to the protocol.
public struct TransportFault: Fault {
  public let code: String
  public let message: String
  public let exitStatus: ExitStatus
  public let context: [String: String]

  public init(
    _ code: String, _ message: String, exitStatus: ExitStatus = .unavailable,
    context: [String: String] = [:]
  ) {
    self.code = "transport." + code
    self.message = message
    self.exitStatus = exitStatus
    self.context = context
  }
}
