import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A bundle or node directory in the making, beside the place where it will appear whole.
///
/// The staging directory `.NAME.partial` is locked while a pack or ship works in it; what a
/// killed one left there is removed, or continued, by the next. The finished directory takes its
/// place by one rename; an older one there is exchanged for it, then removed.
final class StagedDirectory {
  /// Where the directory will be.
  let target: String
  /// Where it is being made.
  let staging: String
  let kind: BundleLayout.Kind
  private var locks: [DirectoryLock] = []

  /// - Parameters:
  ///   - kind: what is made, and what it may take the place of.
  ///   - keepsBlobs: whether blobs that a killed run has left in staging are kept.
  /// - Throws: `PackageFault` where the target holds something else, or another pack or ship is
  ///   at work; `FileFault` where the place cannot be written.
  init(target: String, kind: BundleLayout.Kind, keepsBlobs: Bool = false) throws {
    self.kind = kind
    self.target = try Self.resolve(target)
    staging = Self.staging(of: self.target)
    try checkTarget()
    locks.append(try lockStaging())
    try recover()
    try clean(staging, keepsBlobs ? .keepBlobs : .keepDirectory)
    try Directory.create("\(staging)/\(BundleFiles.blobs)")
    if kind == .bundle { try Directory.create("\(staging)/\(BundleFiles.nodes)") }
  }

  /// Where something is made that will appear at `target`.
  static func staging(of target: String) -> String {
    let parent = Directory.parent(of: target)
    return "\(parent == "/" ? "" : parent)/.\(Directory.name(of: target)).partial"
  }

  /// Where the old directory waits on a file system that cannot exchange two names.
  static func aside(of target: String) -> String { "\(staging(of: target)).old.partial" }

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
    guard let resolved = Directory.resolved(path) else {
      throw FileFault("find", path: path, errno: errno, isOutput: true)
    }
    return resolved
  }

  /// The target is free, empty or of our kind.
  private func checkTarget() throws {
    guard Directory.exists(target) else {
      guard !Directory.isFile(target) else {
        throw FileFault("create the directory", path: target, errno: EEXIST, isOutput: true)
      }
      return
    }
    guard !Directory.isMountPoint(target) else {
      throw PackageFault(
        "mountPoint",
        "\(target) is a whole file system, which nothing can be exchanged for; give a directory "
          + "on it, such as \(target)/\(kind == .node ? "node" : "bundle")",
        exitStatus: .cannotCreate, context: ["file": target])
    }
    let names = try Directory.names(in: target)
    guard !names.isEmpty else { return }
    let foreign = try BundleLayout.foreignEntry(in: target, kind)
    guard foreign == nil, names.contains(BundleFiles.manifest) else {
      let what = kind == .bundle ? "is no bundle" : "is no node's directory"
      let advice = kind == .bundle ? "give another --output" : "give another target"
      throw PackageFault(
        "foreignFiles",
        "\(target) \(what) to be replaced: it holds \(foreign ?? names[0]); move that away "
          + "or \(advice)",
        exitStatus: .cannotCreate, context: ["file": foreign ?? target])
    }
  }

  /// Creates the staging directory where it is missing and locks it.
  private func lockStaging() throws -> DirectoryLock {
    for _ in 0..<16 {
      try Directory.create(staging)
      switch try DirectoryLock.take(staging) {
      case .locked(let lock): return lock
      case .busy: throw busy()
      case .gone: continue
      }
    }
    throw FileFault("lock", path: staging, errno: EAGAIN, isOutput: true)
  }

  private func busy() -> PackageFault {
    PackageFault(
      "busy", "another command is writing \(target); try again when it is done",
      exitStatus: .tryAgain, context: ["file": target])
  }

  /// Brings the old directory back where a run was killed between the two steps of `exchange`.
  private func recover() throws {
    let aside = Self.aside(of: target)
    if Directory.isDirectoryItself(aside), !Directory.exists(target) {
      try Directory.rename(aside, to: target)
    }
  }

  enum Cleaning { case keepBlobs, keepDirectory, removeDirectory }

  /// Removes what a pack or ship has left in a directory; refuses to touch anything else.
  private func clean(_ directory: String, _ cleaning: Cleaning) throws {
    let isOurs = Directory.isDirectoryItself(directory)
    if let foreign = isOurs ? try BundleLayout.foreignLeftover(in: directory) : directory {
      let what = isOurs ? "holds \(foreign), which is not from there" : "is a link"
      throw PackageFault(
        "foreignFiles",
        "\(directory) is left from an earlier run, but \(what); move it away and run the command "
          + "again",
        exitStatus: .cannotCreate, context: ["file": foreign])
    }
    for name in try Directory.names(in: directory) {
      if cleaning == .keepBlobs, name == "blobs" { continue }
      try Directory.remove("\(directory)/\(name)")
    }
    if cleaning == .removeDirectory { try Directory.remove(directory) }
  }

  /// Puts the finished directory in its place.
  func commit() throws {
    let parent = Directory.parent(of: target)
    if Directory.exists(target) {
      try checkTarget()
      locks.append(try lockTarget())
      try exchange()
      try Directory.synchronize(parent)
      try? clean(staging, .removeDirectory)
    } else {
      try Directory.rename(staging, to: target)
    }
    try Directory.synchronize(parent)
    locks = []
  }

  /// Waits until nobody removes blobs from the old directory any more.
  private func lockTarget() throws -> DirectoryLock {
    for _ in 0..<200 {
      if case .locked(let lock) = try DirectoryLock.take(target) { return lock }
      usleep(50_000)
    }
    throw busy()
  }

  /// Swaps staging and target in one step, or in two where the file system cannot.
  private func exchange() throws {
    switch AtomicExchange.exchange(staging, target) {
    case 0: return
    case EINVAL, ENOSYS, ENOTSUP: break
    case let number:
      throw FileFault("move \(staging) to", path: target, errno: number, isOutput: true)
    }
    let aside = Self.aside(of: target)
    if Directory.exists(aside) || Directory.isLink(aside) { try clean(aside, .removeDirectory) }
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
    try? clean(staging, .removeDirectory)
    locks = []
  }

  /// Leaves what was made so far to the next run.
  func pause() { locks = [] }
}
