import TensorCore

/// Where a command is going to write a file.
public enum OutputPlace {
  /// Looks, before long work begins, whether a file could appear at a path.
  ///
  /// - Parameter option: the option that gave the path, for faults.
  /// - Parameter created: a directory that will have been made by then.
  /// Throws: `FileFault` for an empty path, one without its directory, or a directory.
  public static func check(
    _ path: String, option: String, created: String? = nil
  ) throws(FileFault) {
    guard !path.isEmpty else {
      throw FileFault(
        code: "file.noName", message: "\(option) takes the path of a file, not an empty one",
        exitStatus: .usage, path: path)
    }
    guard !Directory.exists(path) else {
      throw FileFault(
        code: "file.notPermitted",
        message: "\(path) is a directory; give \(option) the path of a file",
        exitStatus: .cannotCreate, path: path)
    }
    let parent = Directory.parent(of: path)
    guard parent == created || Directory.exists(parent) else {
      throw FileFault(
        code: "file.missing",
        message: "there is no directory \(parent) to write \(path) in; create it",
        exitStatus: .cannotCreate, path: path)
    }
  }

  /// The one name of a file that may not be there yet, however its path is written.
  public static func canonical(_ path: String) -> String {
    if let resolved = Directory.resolved(path) { return resolved }
    let parent = Directory.parent(of: path)
    let directory = Directory.resolved(parent) ?? parent
    return "\(directory)/\(Directory.name(of: path))"
  }
}
