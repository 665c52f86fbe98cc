import TensorCore

/// What makes kernels unusable on a machine.
public struct KernelFault: Fault {
  public let code: String
  public let message: String
  public let exitStatus: ExitStatus
  public let context: [String: String]

  init(_ reason: String, _ message: String, exitStatus: ExitStatus, context: [String: String]) {
    code = "kernels.\(reason)"
    self.message = message
    self.exitStatus = exitStatus
    self.context = context
  }

  static func unknownInstructionSet(_ name: String) -> KernelFault {
    let known = InstructionSet.allCases.map(\.rawValue).joined(separator: ", ")
    return KernelFault(
      "unknownInstructionSet",
      "SHARD_ISA is \"\(name)\", which is no instruction set; set it to one of \(known)",
      exitStatus: .usage, context: ["instructionSet": name])
  }

  static func missingInstructionSet(_ set: InstructionSet) -> KernelFault {
    let available = InstructionSet.available.map(\.rawValue).joined(separator: ", ")
    return KernelFault(
      "missingInstructionSet",
      "this processor lacks the instruction set \(set.rawValue); use one of \(available)",
      exitStatus: .usage, context: ["instructionSet": set.rawValue])
  }

  static func noThreads(_ count: Int) -> KernelFault {
    KernelFault(
      "noThreads",
      "a compute context needs 1 to \(WorkerPool.threadLimit) threads, found \(count)",
      exitStatus: .usage, context: ["threads": String(count)])
  }
}
