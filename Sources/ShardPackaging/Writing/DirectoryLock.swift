import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A directory that this process alone may change, until the value goes or the process ends.
final class DirectoryLock {
  private let descriptor: Int32

  enum Attempt {
    case locked(DirectoryLock)
    /// A living process has it.
    case busy
    /// There is no directory of that name any more.
    case gone
  }

  private init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  static func take(_ path: String) throws(FileFault) -> Attempt {
    let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else {
      if errno == ENOENT { return .gone }
      throw FileFault("open", path: path, errno: errno, isOutput: true)
    }
    let lock = DirectoryLock(descriptor)
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      guard errno == EWOULDBLOCK || errno == EINTR else {
        throw FileFault("lock", path: path, errno: errno, isOutput: true)
      }
      return .busy
    }
    return lock.isStill(path) ? .locked(lock) : .gone
  }

  /// Whether the name still means the directory that was opened.
  private func isStill(_ path: String) -> Bool {
    var opened = stat()
    var named = stat()
    guard unsafe fstat(descriptor, &opened) == 0, unsafe lstat(path, &named) == 0 else {
      return false
    }
    return opened.st_ino == named.st_ino && opened.st_dev == named.st_dev
  }
}
