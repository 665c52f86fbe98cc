import TensorCore

/// Why a bundle cannot be written, or why what was read is not to be trusted.
public struct PackageFault: Fault {
  public let code: String
  public let message: String
  public let exitStatus: ExitStatus
  public let context: [String: String]

  /// - Parameters:
  ///   - reason: the part of the code after `package.`.
  public init(
    _ reason: String, _ message: String, exitStatus: ExitStatus = .badData,
    context: [String: String] = [:]
  ) {
    self.init(code: "package.\(reason)", message, exitStatus: exitStatus, context: context)
  }

  /// With a whole code, such as one that another program has sent.
  init(code: String, _ message: String, exitStatus: ExitStatus, context: [String: String]) {
    self.code = code
    self.message = message
    self.exitStatus = exitStatus
    self.context = context
  }

  /// A doubt about whom the bundle comes from, whatever raised it.
  init(untrusted fault: any Fault) {
    code = fault.code
    message = fault.message
    exitStatus = .notTrusted
    context = fault.context
  }

  /// Something that differs from what a trusted key has signed.
  init(notAsSigned fault: any Fault) {
    code = fault.code
    message = "not as it was signed: \(fault.message)"
    exitStatus = .notTrusted
    context = fault.context
  }
}
