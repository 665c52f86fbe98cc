import TensorCore

/// Why a plan cannot be made, read or trusted.
public struct PlanFault: Fault, Equatable {
  public let code: String
  public let message: String
  public let exitStatus: ExitStatus
  public let context: [String: String]

  public init(
    code: String, message: String, exitStatus: ExitStatus, context: [String: String] = [:]
  ) {
    self.code = code
    self.message = message
    self.exitStatus = exitStatus
    self.context = context
  }

  /// A request that makes no sense, such as zero nodes.
  static func usage(_ reason: String, _ message: String) -> PlanFault {
    PlanFault(code: "plan.\(reason)", message: message, exitStatus: .usage)
  }

  /// A plan, profile or cluster file that is not what its schema says.
  static func badData(_ reason: String, _ message: String, source: String) -> PlanFault {
    PlanFault(
      code: "plan.\(reason)", message: "\(source): \(message)", exitStatus: .badData,
      context: ["file": source])
  }
}
