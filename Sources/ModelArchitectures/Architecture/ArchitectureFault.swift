import TensorCore

/// A configuration or checkpoint that describes no model this toolchain can run.
public struct ArchitectureFault: Fault {
  public let code: String
  public let message: String
  public let exitStatus = ExitStatus.badData
  public let context: [String: String]

  public init(code: String, message: String, context: [String: String] = [:]) {
    self.code = "architecture." + code
    self.message = message
    self.context = context
  }

  /// A key of config.json whose value is unusable.
  static func configuration(_ key: String, _ problem: String) -> ArchitectureFault {
    ArchitectureFault(
      code: "configuration", message: "config.json: \(key) \(problem)", context: ["key": key])
  }
}
