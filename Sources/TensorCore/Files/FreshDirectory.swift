#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A directory in the making: it appears at its place whole, where nothing was before.
///
/// It is made beside that place as `NAME.PROCESS.partial`, locked; what a killed process has left
/// under such a name is removed by the next that writes there.
public final class FreshDirectory {
  /// Where the directory will be.
  public let target: String
  /// Where it is being made.
  public let staging: String
  private let lock: Int32
  private var isDone = false

  /// - Parameters:
  ///   - target: a path where nothing is, or an empty directory.
  ///   - entries: what a staging directory may hold; one with other things is left alone.
  /// - Throws: `FileFault` where something is in the way, or the place cannot be written.
  public init(target: String, entries: Set<String>) throws(FileFault) {
    let target = Directory.exists(target) ? Directory.resolved(target) ?? target : target
    let name = Directory.name(of: target)
    guard ![".", "..", "/", ""].contains(name), !Directory.isMountPoint(target) else {
      throw FileFault(
        code: "file.notPermitted",
        message: "\(target) cannot be made anew, as it is the top of a file system; give a "
          + "directory in it",
        exitStatus: .cannotCreate, path: target)
    }
    let parent = Directory.parent(of: target)
    try Directory.create(parent)
    let path = parent == "/" ? "/\(name)" : "\(parent)/\(name)"
    try Self.checkFree(path)
    try Self.removeLeftovers(of: name, in: parent, entries: entries)
    self.target = path
    staging = "\(path).\(getpid()).partial"
    try Directory.remove(staging)
    try Directory.create(staging)
    lock = try Self.locked(staging)
  }

  deinit { close(lock) }

  private static func checkFree(_ path: String) throws(FileFault) {
    guard Directory.exists(path) else {
      guard !Directory.isFile(path) else {
        throw FileFault("create the directory", path: path, errno: EEXIST, isOutput: true)
      }
      return
    }
    guard let first = try Directory.names(in: path).first else { return }
    throw FileFault(
      code: "file.notPermitted",
      message: "\(path) is not empty: it holds \(first); remove it or give another --output",
      exitStatus: .cannotCreate, path: path)
  }

  private static func locked(_ path: String) throws(FileFault) -> Int32 {
    let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let number = errno
      if descriptor >= 0 { close(descriptor) }
      throw FileFault("lock", path: path, errno: number, isOutput: true)
    }
    return descriptor
  }

  /// `a` for `a.7.partial`; nil for names that are not those of staging directories.
  public static func target(ofStaging name: String) -> String? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count > 2, parts.last == "partial", let process = Int32(parts[parts.count - 2]),
      process > 0
    else { return nil }
    let target = parts.dropLast(2).joined(separator: ".")
    return target.isEmpty ? nil : target
  }

  /// Removes what killed processes have left; what a living one works in is locked.
  private static func removeLeftovers(
    of name: String, in parent: String, entries: Set<String>
  ) throws(FileFault) {
    for entry in try Directory.names(in: parent) {
      let path = "\(parent)/\(entry)"
      guard Self.target(ofStaging: entry) == name, Directory.isDirectoryItself(path),
        let descriptor = try? locked(path)
      else { continue }
      defer { close(descriptor) }
      if try Directory.names(in: path).allSatisfy(entries.contains) { try Directory.remove(path) }
    }
  }

  /// Puts the finished directory in its place, once all that is in it is on the disk.
  public func commit() throws(FileFault) {
    try Directory.synchronize(staging)
    try Self.checkFree(target)
    try Directory.rename(staging, to: target)
    isDone = true
    try Directory.synchronize(Directory.parent(of: target))
  }

  /// Removes what was made so far.
  public func abandon() {
    if !isDone { try? Directory.remove(staging) }
  }
}
