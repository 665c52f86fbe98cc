import Foundation
import ShardPlanning
import TensorKernels

/// What a machine says of itself.
public enum MachineFacts {
  /// Memory of the machine, or of the control group that this process is in.
  public static var ramBytes: Int {
    let whole = Int(ProcessInfo.processInfo.physicalMemory)
    #if os(Linux)
      return min(whole, LinuxMemory(root: "").groupLimit ?? whole)
    #else
      return whole
    #endif
  }

  /// Memory of the largest graphics card whose driver tells it by a file (amdgpu); else 0.
  public static var vramBytes: Int {
    let cards = (try? FileManager.default.contentsOfDirectory(atPath: "/sys/class/drm")) ?? []
    return cards.compactMap { card in
      FileManager.default.contents(atPath: "/sys/class/drm/\(card)/device/mem_info_vram_total")
        .flatMap { Int(String(decoding: $0, as: UTF8.self).filter(\.isNumber)) }
    }.max() ?? 0
  }

  /// The machine's name, made fit to be a node's.
  public static var nodeName: String {
    let name = ProcessInfo.processInfo.hostName.prefix { $0 != "." }
    let plain = name.filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
    let isName = plain.first.map { $0.isLetter || $0.isNumber } == true
    return isName ? String(plain.prefix(64)) : "node"
  }

  public static func machine(_ compute: ComputeContext) -> NodeProfile.Machine {
    NodeProfile.Machine(
      cores: WorkerPool.defaultThreadCount, threads: compute.pool.threads,
      instructionSet: compute.instructionSet.rawValue)
  }
}
