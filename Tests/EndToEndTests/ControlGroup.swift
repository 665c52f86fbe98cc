import Foundation
import TestSupport

/// A control group of a test's own with a limit on memory: the way to a small machine on a large
/// one. Needs the rights to make one.
final class ControlGroup {
  let path: String
  private let limitFile: String

  private static let root: String? = {
    let manager = FileManager.default
    for path in ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"]
    where manager.fileExists(atPath: path + "/cgroup.procs") { return path }
    return nil
  }()

  init(limit bytes: Int) throws {
    let root = try Self.root.orThrow("there is no file system of control groups")
    path = "\(root)/shard-test-\(UUID().uuidString)"
    let isFirstVersion = root.hasSuffix("/memory")
    limitFile = isFirstVersion ? "memory.limit_in_bytes" : "memory.max"
    if !isFirstVersion {
      try? "+memory".write(toFile: "\(root)/cgroup.subtree_control", atomically: false, .utf8)
    }
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    do {
      try setLimit(bytes)
    } catch {
      unsafe rmdir(path)
      throw error
    }
  }

  deinit { unsafe rmdir(path) }

  func setLimit(_ bytes: Int) throws {
    try String(bytes).write(toFile: "\(path)/\(limitFile)", atomically: false, .utf8)
  }

  /// Why no group can be made, or nil where one can.
  static let obstacle: String? = {
    do {
      _ = try ControlGroup(limit: 64 << 20)
      return nil
    } catch { return "\(error)" }
  }()

  /// Runs a program of this build inside the group.
  func run(_ program: String, _ arguments: [String]) throws -> ProgramRun {
    try ProgramRun.run(
      "/bin/sh",
      ["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"", path]
        + ["\(Places.programs)/\(program)"] + arguments)
  }
}

extension String {
  fileprivate func write(
    toFile path: String, atomically: Bool, _ encoding: Encoding
  ) throws {
    try write(toFile: path, atomically: atomically, encoding: encoding)
  }
}

extension Optional {
  fileprivate func orThrow(_ reason: String) throws -> Wrapped {
    guard let self else { throw Missing(description: reason) }
    return self
  }
}

private struct Missing: Error, CustomStringConvertible {
  let description: String
}
