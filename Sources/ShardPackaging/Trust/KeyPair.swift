import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A new pair of keys in two files: `PATH`, which only its owner can read, and `PATH.pub`.
public struct KeyPair: Sendable {
  public let privatePath: String
  public let publicPath: String
  public let id: Digest

  /// Makes the pair.
  ///
  /// Throws: `PackageFault` where one of the files is there already (nothing is ever replaced),
  /// `FileFault` where they cannot be written; then neither is there.
  public init(writingTo path: String) throws {
    privatePath = path
    publicPath = path + ".pub"
    for path in [privatePath, publicPath] where Self.isTaken(path) { throw Self.taken(path) }
    let key = try SigningKey.generate()
    id = key.publicKey.id
    try Self.create(key.fileText, at: privatePath, mode: 0o600)
    do {
      try Self.create(key.publicKey.fileText, at: publicPath, mode: 0o644)
    } catch {
      try? Directory.remove(privatePath)
      throw error
    }
    try Directory.synchronize(Directory.parent(of: path))
  }

  /// Whether somebody else than the owner may read the file at a path.
  public static func isOpenToOthers(_ path: String) -> Bool {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return false }
    return status.st_mode & 0o077 != 0
  }

  static func isTaken(_ path: String) -> Bool {
    var status = stat()
    return unsafe lstat(path, &status) == 0
  }

  static func taken(_ path: String) -> PackageFault {
    PackageFault(
      "keyExists",
      "\(path) is there already, and a key that is lost cannot be made again; give another name",
      exitStatus: .cannotCreate, context: ["file": path])
  }

  /// Writes beside the name and links the name to it, which fails where the name is taken.
  static func create(_ text: String, at path: String, mode: mode_t) throws {
    let staging = "\(path).\(getpid()).partial"
    let descriptor = unsafe open(
      staging, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
    guard descriptor >= 0 else {
      throw FileFault("create", path: path, errno: errno, isOutput: true)
    }
    defer {
      close(descriptor)
      _ = unsafe unlink(staging)
    }
    let bytes = Array(text.utf8)
    guard Self.writeAll(bytes, to: descriptor), fchmod(descriptor, mode) == 0,
      fsync(descriptor) == 0
    else { throw FileFault("write", path: path, errno: errno, isOutput: true) }
    guard unsafe link(staging, path) == 0 else {
      if errno == EEXIST { throw taken(path) }
      throw FileFault("create", path: path, errno: errno, isOutput: true)
    }
  }

  private static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var done = 0
    while done < bytes.count {
      let put = unsafe bytes.withUnsafeBytes {
        unsafe write(descriptor, $0.baseAddress.unsafelyUnwrapped + done, bytes.count - done)
      }
      if put < 0, errno == EINTR { continue }
      guard put > 0 else { return false }
      done += put
    }
    return true
  }
}
