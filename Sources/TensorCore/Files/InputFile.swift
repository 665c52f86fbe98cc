#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A regular file open for reading at any offset, from several threads at once.
///
/// Files are read with `pread` into memory of ours rather than mapped: a file that another
/// process truncates then ends in an error, not in SIGBUS, and page cache does not count as
/// resident memory of this process.
public final class InputFile: Sendable {
  public let path: String
  /// Length when the file was opened.
  public let byteCount: Int
  private let descriptor: Int32

  /// Throws: `FileFault` where the file is missing, unreadable or no regular file.
  public init(path: String) throws(FileFault) {
    // A pipe without a writer would wait for one; regular files know no waiting.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw FileFault("open", path: path, errno: errno, isOutput: false)
    }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      let number = errno
      close(descriptor)
      throw FileFault("examine", path: path, errno: number, isOutput: false)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw FileFault(
        code: "file.notRegular", message: "\(path) is not a regular file; give a file",
        exitStatus: .noInput, path: path)
    }
    self.path = path
    self.descriptor = descriptor
    byteCount = Int(status.st_size)
  }

  deinit { close(descriptor) }

  /// Fills `bytes` from `offset` on.
  ///
  /// Throws: `FileFault` also where the file ends earlier.
  public func read(into bytes: inout MutableRawSpan, at offset: Int) throws(FileFault) {
    let count = bytes.byteCount
    let number = unsafe bytes.withUnsafeMutableBytes { buffer -> Int32 in
      var done = 0
      while done < count {
        let got = unsafe pread(
          descriptor, buffer.baseAddress.unsafelyUnwrapped + done, count - done,
          off_t(offset + done))
        if got < 0, errno == EINTR { continue }
        if got < 0 { return errno }
        if got == 0 { return -1 }
        done += got
      }
      return 0
    }
    switch number {
    case 0: return
    case -1:
      throw FileFault(
        code: "file.truncated",
        message: "\(path) ends before byte \(offset + count); copy the file again",
        exitStatus: .badData, path: path)
    default: throw FileFault("read", path: path, errno: number, isOutput: false)
    }
  }

  /// Waits until the bytes are on the disk, whoever wrote them.
  public func synchronize() throws(FileFault) {
    guard fsync(descriptor) == 0 else {
      throw FileFault("write", path: path, errno: errno, isOutput: true)
    }
  }

  /// A copy of `count` bytes from `offset` on.
  ///
  /// Precondition: the caller has compared `count` with what the file justifies.
  public func bytes(at offset: Int, count: Int) throws(FileFault) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    guard count > 0 else { return bytes }
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    try read(into: &raw, at: offset)
    return bytes
  }

  /// The whole file, refused where it is larger than `limit` bytes.
  public static func contents(
    of path: String, limit: Int = 256 << 20
  ) throws(FileFault) -> [UInt8] {
    let file = try InputFile(path: path)
    guard file.byteCount <= limit else {
      throw FileFault(
        code: "file.tooLarge",
        message: "\(path) has \(file.byteCount) bytes, more than the \(limit) expected at most",
        exitStatus: .badData, path: path)
    }
    return try file.bytes(at: 0, count: file.byteCount)
  }
}
