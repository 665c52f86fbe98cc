#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Directories, and the ways in which files appear in them whole or not at all.
public enum Directory {
  /// Whether something exists at the path and is a directory.
  public static func exists(_ path: String) -> Bool { mode(path) == S_IFDIR }

  /// Whether something exists at the path and is a regular file.
  public static func isFile(_ path: String) -> Bool { mode(path) == S_IFREG }

  /// Whether a directory stands at the path itself, not one that a link there leads to.
  public static func isDirectoryItself(_ path: String) -> Bool { ownMode(path) == S_IFDIR }

  /// Whether a regular file stands at the path itself, not one that a link there leads to.
  public static func isFileItself(_ path: String) -> Bool { ownMode(path) == S_IFREG }

  /// Whether a symbolic link stands at the path, wherever it leads.
  public static func isLink(_ path: String) -> Bool { ownMode(path) == S_IFLNK }

  private static func mode(_ path: String) -> mode_t? {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return nil }
    return status.st_mode & S_IFMT
  }

  private static func ownMode(_ path: String) -> mode_t? {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else { return nil }
    return status.st_mode & S_IFMT
  }

  /// Creates a directory and those above it; an existing one is fine.
  public static func create(_ path: String) throws(FileFault) {
    guard !exists(path) else { return }
    let parent = parent(of: path)
    if parent != path, !exists(parent) { try create(parent) }
    guard unsafe mkdir(path, 0o755) == 0 || errno == EEXIST else {
      throw FileFault("create the directory", path: path, errno: errno, isOutput: true)
    }
  }

  /// Names in a directory, sorted, without `.` and `..`.
  public static func names(in path: String) throws(FileFault) -> [String] {
    guard let stream = unsafe opendir(path) else {
      throw FileFault("list the directory", path: path, errno: errno, isOutput: false)
    }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) {
          unsafe String(cString: $0)
        }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// The path up to the last slash; "." where there is none.
  public static func parent(of path: String) -> String {
    var end = path.utf8.count
    let bytes = Array(path.utf8)
    while end > 1, bytes[end - 1] == UInt8(ascii: "/") { end -= 1 }
    guard let slash = bytes[..<end].lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == 0 ? "/" : String(decoding: bytes[..<slash], as: UTF8.self)
  }

  /// The last component of a path.
  public static func name(of path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }

  /// Where a path really leads, with all symbolic links followed; nil where it leads nowhere.
  public static func resolved(_ path: String) -> String? {
    guard let resolved = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }

  /// Whether a directory is the top of a file system of its own.
  public static func isMountPoint(_ path: String) -> Bool {
    var own = stat()
    var above = stat()
    guard unsafe stat(path, &own) == 0, unsafe stat(path + "/..", &above) == 0 else {
      return false
    }
    return own.st_dev != above.st_dev || own.st_ino == above.st_ino
  }

  /// Removes a file or a whole tree; what is not there is fine.
  public static func remove(_ path: String) throws(FileFault) {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else { return }
    if status.st_mode & S_IFMT == S_IFDIR {
      for name in try names(in: path) { try remove(path + "/" + name) }
      guard unsafe rmdir(path) == 0 || errno == ENOENT else {
        throw FileFault("remove", path: path, errno: errno, isOutput: true)
      }
    } else if unsafe unlink(path) != 0, errno != ENOENT {
      throw FileFault("remove", path: path, errno: errno, isOutput: true)
    }
  }

  /// Moves a file or directory over another name on the same file system; atomic for files.
  public static func rename(_ source: String, to target: String) throws(FileFault) {
    #if canImport(Glibc)
      let result = unsafe Glibc.rename(source, target)
    #else
      let result = unsafe Darwin.rename(source, target)
    #endif
    guard result == 0 else {
      throw FileFault("move \(source) to", path: target, errno: errno, isOutput: true)
    }
  }

  /// A second name for the same bytes; copies them where the file system has no hard links.
  public static func link(_ source: String, to target: String) throws(FileFault) {
    #if canImport(Glibc)
      let result = unsafe Glibc.link(source, target)
    #else
      let result = unsafe Darwin.link(source, target)
    #endif
    if result == 0 || errno == EEXIST { return }
    let input = try InputFile(path: source)
    let output = try OutputFile(path: target)
    var offset = 0
    while offset < input.byteCount {
      let count = min(4 << 20, input.byteCount - offset)
      try output.write(try input.bytes(at: offset, count: count), at: offset)
      offset += count
    }
    try output.synchronize()
  }

  /// Waits until the names in a directory are on the disk.
  public static func synchronize(_ path: String) throws(FileFault) {
    let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw FileFault("open", path: path, errno: errno, isOutput: true)
    }
    defer { close(descriptor) }
    _ = fsync(descriptor)
  }

  /// Writes a small file beside its name, syncs it and renames it into place: a reader sees the
  /// old bytes or the new ones, whatever happens in between.
  public static func writeAtomically(_ bytes: [UInt8], to path: String) throws(FileFault) {
    let staging = "\(path).\(getpid()).partial"
    do {
      let file = try OutputFile(path: staging)
      try file.write(bytes, at: 0)
      try file.synchronize()
      try rename(staging, to: path)
    } catch {
      try? remove(staging)
      throw error
    }
    try synchronize(parent(of: path))
  }
}
