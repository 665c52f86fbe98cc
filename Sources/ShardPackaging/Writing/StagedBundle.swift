import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A bundle in the making, beside the place where it will appear whole.
///
/// The staging directory `.NAME.partial` is locked while a pack works in it; what a killed one
/// left there is removed by the next. The finished bundle takes its place by one rename; an
/// older bundle there is exchanged for it, then removed.
final class StagedBundle {
  /// Where the bundle will be.
  let target: String
  /// Where it is being made.
  let staging: String
  private var locks: [Int32] = []

  /// - Throws: `PackageFault` where the target holds something that is no bundle, or another
  ///   pack is at work; `FileFault` where the place cannot be written.
  init(target: String) throws {
    self.target = try Self.resolve(target)
    let parent = Directory.parent(of: self.target)
    staging = "\(parent)/.\(Directory.name(of: self.target)).partial"
    try checkTarget()
    do {
      locks.append(try lockStaging())
      try recover()
      try clean(staging, removingIt: false)
      try Directory.create("\(staging)/\(BundleFiles.blobs)")
      try Directory.create("\(staging)/\(BundleFiles.nodes)")
    } catch {
      unlock()
      throw error
    }
  }

  deinit { unlock() }

  private func unlock() {
    for lock in locks { close(lock) }
    locks = []
  }

  /// The absolute path, with the directory above created.
  private static func resolve(_ path: String) throws -> String {
    if Directory.exists(path) { return try real(path) }
    let name = Directory.name(of: path)
    guard ![".", "..", "/", ""].contains(name) else {
      throw FileFault("create", path: path, errno: EINVAL, isOutput: true)
    }
    let parent = Directory.parent(of: path)
    try Directory.create(parent)
    let base = try real(parent)
    return base == "/" ? "/\(name)" : "\(base)/\(name)"
  }

  private static func real(_ path: String) throws(FileFault) -> String {
    guard let resolved = unsafe realpath(path, nil) else {
      throw FileFault("find", path: path, errno: errno, isOutput: true)
    }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }

  /// The target is free, empty or a bundle of ours.
  private func checkTarget() throws {
    guard Directory.exists(target) else {
      guard !Directory.isFile(target) else {
        throw FileFault("create the directory", path: target, errno: EEXIST, isOutput: true)
      }
      return
    }
    let names = try Directory.names(in: target)
    guard !names.isEmpty else { return }
    let foreign = try BundleLayout.foreignEntry(in: target)
    guard foreign == nil, names.contains(BundleFiles.manifest) else {
      throw PackageFault(
        "foreignFiles",
        "\(target) is no bundle to be replaced: it holds \(foreign ?? names[0]); move that away "
          + "or give another --output",
        exitStatus: .cannotCreate, context: ["file": foreign ?? target])
    }
  }

  /// Creates the staging directory where it is missing and locks it.
  private func lockStaging() throws -> Int32 {
    for _ in 0..<16 {
      try Directory.create(staging)
      let descriptor = unsafe open(staging, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
      if descriptor < 0, errno == ENOENT { continue }
      guard descriptor >= 0 else {
        throw FileFault("open", path: staging, errno: errno, isOutput: true)
      }
      guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
        close(descriptor)
        throw PackageFault(
          "busy", "another pack is writing \(target); try again when it is done",
          exitStatus: .tryAgain, context: ["file": target])
      }
      if Self.isSame(descriptor, staging) { return descriptor }
      close(descriptor)
    }
    throw FileFault("lock", path: staging, errno: EAGAIN, isOutput: true)
  }

  /// Whether the name still means the directory that was opened.
  private static func isSame(_ descriptor: Int32, _ path: String) -> Bool {
    var opened = stat()
    var named = stat()
    guard unsafe fstat(descriptor, &opened) == 0, unsafe lstat(path, &named) == 0 else {
      return false
    }
    return opened.st_ino == named.st_ino && opened.st_dev == named.st_dev
  }

  /// Brings the old bundle back where a pack was killed between the two steps of `exchange`.
  private func recover() throws {
    if Directory.exists(aside), !Directory.exists(target) {
      try Directory.rename(aside, to: target)
    }
  }

  /// Where the old bundle waits on a file system that cannot exchange two names.
  private var aside: String { "\(staging).old.partial" }

  /// Removes what a pack has left in a directory; refuses to touch anything else.
  private func clean(_ directory: String, removingIt: Bool) throws {
    if let foreign = try BundleLayout.foreignEntry(in: directory) {
      throw PackageFault(
        "foreignFiles",
        "\(directory) is left from an earlier pack, but holds \(foreign), which is not from "
          + "there; move it away and run pack again",
        exitStatus: .cannotCreate, context: ["file": foreign])
    }
    for name in try Directory.names(in: directory) {
      try Directory.remove("\(directory)/\(name)")
    }
    if removingIt { try Directory.remove(directory) }
  }

  /// Puts the finished bundle in its place.
  func commit() throws {
    let parent = Directory.parent(of: target)
    if Directory.exists(target) {
      try checkTarget()
      let old = unsafe open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard old >= 0 else {
        throw FileFault("open", path: target, errno: errno, isOutput: true)
      }
      locks.append(old)
      _ = flock(old, LOCK_EX | LOCK_NB)
      try exchange()
      try Directory.synchronize(parent)
      try? clean(staging, removingIt: true)
    } else {
      try Directory.rename(staging, to: target)
    }
    try Directory.synchronize(parent)
    unlock()
  }

  /// Swaps staging and target in one step, or in two where the file system cannot.
  private func exchange() throws {
    switch AtomicExchange.exchange(staging, target) {
    case 0: return
    case EINVAL, ENOSYS, ENOTSUP: break
    case let number:
      throw FileFault("move \(staging) to", path: target, errno: number, isOutput: true)
    }
    if Directory.exists(aside) { try clean(aside, removingIt: true) }
    try Directory.rename(target, to: aside)
    do {
      try Directory.rename(staging, to: target)
    } catch {
      try? Directory.rename(aside, to: target)
      throw error
    }
    try Directory.rename(aside, to: staging)
  }

  /// Removes what was made so far.
  func abandon() {
    guard !locks.isEmpty else { return }
    try? clean(staging, removingIt: true)
    unlock()
  }
}
