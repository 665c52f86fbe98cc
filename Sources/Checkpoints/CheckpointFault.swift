import TensorCore

/// Why a checkpoint, or one of its files, cannot be used.
public struct CheckpointFault: Fault {
  public let code: String
  public let message: String
  public let exitStatus: ExitStatus
  public let context: [String: String]

  /// Parameters:
  ///   - reason: the second half of the code, such as `overlap` in `checkpoint.overlap`.
  public init(
    _ reason: String, _ message: String, file: String, tensor: String? = nil,
    exitStatus: ExitStatus = .badData
  ) {
    code = "checkpoint." + reason
    self.message = message
    self.exitStatus = exitStatus
    var context = ["file": file]
    context["tensor"] = tensor
    self.context = context
  }
}
