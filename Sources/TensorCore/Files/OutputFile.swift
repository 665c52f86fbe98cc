#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A new file open for writing at any offset, from several threads at once.
public final class OutputFile: Sendable {
  public let path: String
  private let descriptor: Int32

  /// Creates the file, or empties it where it exists. A symbolic link there is refused, so that
  /// nobody can lead the bytes into another file.
  ///
  /// - Parameter keepsContents: leaves the bytes of an existing file where they are.
  public init(path: String, keepsContents: Bool = false) throws(FileFault) {
    let emptying = keepsContents ? 0 : O_TRUNC
    let flags = O_RDWR | O_CREAT | emptying | O_CLOEXEC | O_NOFOLLOW
    let descriptor = unsafe open(path, flags, 0o644)
    guard descriptor >= 0 else {
      throw FileFault("create", path: path, errno: errno, isOutput: true)
    }
    self.path = path
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  public func write(_ bytes: RawSpan, at offset: Int) throws(FileFault) {
    let count = bytes.byteCount
    let number = unsafe bytes.withUnsafeBytes { buffer -> Int32 in
      var done = 0
      while done < count {
        let put = unsafe pwrite(
          descriptor, buffer.baseAddress.unsafelyUnwrapped + done, count - done,
          off_t(offset + done))
        if put < 0, errno == EINTR { continue }
        if put < 0 { return errno }
        done += put
      }
      return 0
    }
    guard number == 0 else { throw FileFault("write", path: path, errno: number, isOutput: true) }
  }

  public func write(_ bytes: [UInt8], at offset: Int) throws(FileFault) {
    try unsafe write(bytes.span.bytes, at: offset)
  }

  /// Asks the system to bring some bytes to the disk now, so that `synchronize` has less to wait
  /// for; nothing follows from it.
  public func beginSynchronizing(_ range: Range<Int>) {
    #if os(Linux)
      // SAFETY: the symbol is the C library's function of that name; its signature is fixed.
      guard let symbol = unsafe dlsym(nil, "sync_file_range") else { return }
      let begin = unsafe unsafeBitCast(symbol, to: SynchronizeRange.self)
      _ = begin(descriptor, off_t(range.lowerBound), off_t(range.count), Self.writeFlag)
    #endif
  }

  #if os(Linux)
    /// `sync_file_range`, which the C library has but its Swift module does not show.
    private typealias SynchronizeRange = @convention(c) (Int32, off_t, off_t, UInt32) -> Int32
    private static let writeFlag: UInt32 = 2
  #endif

  /// Ends the file at a length.
  public func truncate(to byteCount: Int) throws(FileFault) {
    guard ftruncate(descriptor, off_t(byteCount)) == 0 else {
      throw FileFault("write", path: path, errno: errno, isOutput: true)
    }
  }

  /// Asks the system to forget what it keeps of the file in memory, so that reading shows what is
  /// on the disk. Call `synchronize` before.
  public func forgetCache() {
    #if canImport(Glibc)
      _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
    #endif
  }

  /// Waits until the bytes are on the disk.
  public func synchronize() throws(FileFault) {
    guard fsync(descriptor) == 0 else {
      throw FileFault("write", path: path, errno: errno, isOutput: true)
    }
  }
}
