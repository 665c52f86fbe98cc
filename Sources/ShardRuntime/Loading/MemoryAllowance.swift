import Foundation
import TensorCore

/// The memory that this process may take in all, and who says so.
public struct MemoryAllowance: Sendable, Equatable {
  public let bytes: Int
  /// In words, such as "the control group /user.slice allows".
  public let source: String

  public init(bytes: Int, source: String) {
    self.bytes = bytes
    self.source = source
  }

  /// The least of what control groups allow and the machine has free; nil where the system does
  /// not say.
  public static func current() -> MemoryAllowance? {
    #if os(Linux)
      return LinuxMemory(root: "").allowance
    #else
      return MemoryAllowance(
        bytes: Int(ProcessInfo.processInfo.physicalMemory), source: "this machine has")
    #endif
  }
}

/// What Linux says about memory, in files.
package struct LinuxMemory: Sendable {
  /// Where `proc` and `sys` are: "", or a directory with files like them.
  private let root: String

  package init(root: String) { self.root = root }

  /// Counters of memory lag behind by some pages for each processor.
  private static let counterError = 8 << 20

  /// The least that a control group or the machine allows.
  package var allowance: MemoryAllowance? {
    var allowances = controlGroups
    if let free = field("MemAvailable", of: "proc/meminfo") {
      let own = field("VmRSS", of: "proc/self/status") ?? 0
      allowances.append(MemoryAllowance(bytes: free + own, source: "this machine has free"))
    }
    return allowances.min { $0.bytes < $1.bytes }
  }

  /// The least limit of a control group, whoever uses it.
  package var groupLimit: Int? { limits.map(\.bytes).min() }

  private var controlGroups: [MemoryAllowance] {
    limits.map { limit in
      let used = max(0, anonymous("\(limit.place)/memory.stat", limit.used) - ownAnonymous)
      let others = used > Self.counterError ? used : 0
      return MemoryAllowance(
        bytes: limit.bytes - others, source: "the control group \(limit.name) allows")
    }
  }

  private struct Limit {
    let bytes: Int
    let name: String
    let place: String
    /// The counter of memory that cannot be dropped.
    let used: String
  }

  /// One for each control group with a limit that this process is in, version 1 or 2.
  private var limits: [Limit] {
    var limits: [Limit] = []
    for line in (text("proc/self/cgroup") ?? "").split(separator: "\n") {
      // "4:memory:/path" in version 1, "0::/path" in version 2.
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let path = String(fields[2])
      if fields[1].split(separator: ",").contains("memory") {
        limits += groups(
          above: path, mount: "sys/fs/cgroup/memory", limit: "memory.limit_in_bytes",
          used: "total_rss")
      } else if fields[0] == "0", fields[1].isEmpty {
        limits += groups(
          above: path, mount: "sys/fs/cgroup", limit: "memory.max", used: "anon")
      }
    }
    return limits
  }

  /// A group and all above it; inside a container the mount may begin at the group itself.
  private func groups(
    above path: String, mount: String, limit: String, used: String
  ) -> [Limit] {
    var limits: [Limit] = []
    var names = path.split(separator: "/").filter { $0 != ".." }
    while true {
      let place = names.isEmpty ? mount : mount + "/" + names.joined(separator: "/")
      // Without a limit there is the word "max", or a number near 2^63.
      if let bytes = text("\(place)/\(limit)").flatMap({ Int($0) }), bytes < 1 << 60 {
        limits.append(
          Limit(bytes: bytes, name: "/" + names.joined(separator: "/"), place: place, used: used))
      }
      guard names.popLast() != nil else { return limits }
    }
  }

  /// Memory that cannot be dropped, of all processes of a group.
  private func anonymous(_ path: String, _ name: String) -> Int {
    for line in (text(path) ?? "").split(separator: "\n") {
      let fields = line.split(separator: " ")
      if fields.count == 2, fields[0] == name { return Int(fields[1]) ?? 0 }
    }
    return 0
  }

  private var ownAnonymous: Int { field("RssAnon", of: "proc/self/status") ?? 0 }

  /// A line such as "VmRSS:  1234 kB" in bytes.
  private func field(_ name: String, of path: String) -> Int? {
    for line in (text(path) ?? "").split(separator: "\n") where line.hasPrefix(name + ":") {
      let digits = line.split(separator: " ").first { $0.allSatisfy(\.isNumber) }
      return digits.flatMap { Int($0) }.map { $0 << 10 }
    }
    return nil
  }

  private func text(_ path: String) -> String? {
    guard let data = FileManager.default.contents(atPath: "\(root)/\(path)") else { return nil }
    return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }
}
