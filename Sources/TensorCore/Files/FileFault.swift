#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// An operation on a file that the system refused.
public struct FileFault: Fault {
  public let code: String
  public let message: String
  public let exitStatus: ExitStatus
  public let context: [String: String]

  /// Turns `errno` into a sentence.
  ///
  /// - Parameters:
  ///   - action: what was tried, as in "cannot *open*".
  ///   - isOutput: whether the file was to be written, which decides the exit status.
  public init(_ action: String, path: String, errno number: Int32, isOutput: Bool) {
    let reason = unsafe String(cString: strerror(number))
    let advice = number == ENOSPC || number == EDQUOT ? "; free some space and run it again" : ""
    let path = StagingName.finalPath(path)
    message = "cannot \(action) \(path): \(reason)\(advice)"
    context = ["file": path]
    switch number {
    case ENOENT:
      code = "file.missing"
      exitStatus = isOutput ? .cannotCreate : .noInput
    case ENOSPC, EDQUOT:
      code = "file.diskFull"
      exitStatus = .inputOutput
    case EACCES, EPERM, EROFS, EISDIR, EEXIST, ENOTDIR, ENOTEMPTY, ENAMETOOLONG, ELOOP:
      code = "file.notPermitted"
      exitStatus = isOutput ? .cannotCreate : .noInput
    default:
      code = "file.inputOutput"
      exitStatus = .inputOutput
    }
  }

  public init(code: String, message: String, exitStatus: ExitStatus, path: String) {
    self.code = code
    self.message = message
    self.exitStatus = exitStatus
    context = ["file": path]
  }
}
