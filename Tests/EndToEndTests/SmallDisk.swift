import Foundation
import TensorCore
import TestSupport
import Testing

/// A small file system of its own in memory, which can be full or read-only.
final class SmallDisk {
  let path: String
  private var filling: String { path + "/filling" }

  struct Failure: Error {
    let message: String
  }

  static let reasonToSkip: Comment = "small file systems need root on Linux"

  static let canBeMade: Bool = {
    #if os(Linux)
      guard getuid() == 0, let place = try? TemporaryDirectory() else { return false }
      return (try? SmallDisk(at: place.appending("disk"), kibibytes: 64)) != nil
    #else
      return false
    #endif
  }()

  init(at path: String, kibibytes: Int) throws {
    self.path = path
    try Directory.create(path)
    try Self.call("mount", ["-t", "tmpfs", "-o", "size=\(kibibytes)k", "none", path])
  }

  deinit { try? Self.call("umount", ["-l", path]) }

  private static func call(_ name: String, _ arguments: [String]) throws {
    let run = try ProgramRun.run("/usr/bin/env", [name] + arguments)
    guard run.status == 0 else { throw Failure(message: run.errors) }
  }

  func makeReadOnly() throws { try Self.call("mount", ["-o", "remount,ro", path]) }

  func freeBytes() throws -> Int {
    let facts = try FileManager.default.attributesOfFileSystem(forPath: path)
    return (facts[.systemFreeSize] as? NSNumber)?.intValue ?? 0
  }

  /// Leaves about that many bytes to others.
  func fill(leaving byteCount: Int) throws {
    let size = max(0, try freeBytes() - byteCount)
    _ = FileManager.default.createFile(atPath: filling, contents: nil)
    let file = try #require(FileHandle(forWritingAtPath: filling))
    var left = size
    let block = Data(count: 4096)
    while left > 0, (try? file.write(contentsOf: block)) != nil { left -= block.count }
    try? file.close()
  }

  func clearFilling() throws { try Directory.remove(filling) }
}
