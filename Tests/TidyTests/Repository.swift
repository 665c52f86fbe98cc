import TensorCore
import TestSupport

/// The files of this repository, as far as they are ours and text.
enum Repository {
  struct TextFile: Sendable {
    /// From the package's root, such as `Sources/TensorCore/Fault.swift`.
    let path: String
    let lines: [Substring]
  }

  /// All text files outside build folders and fixtures' data, in order of their paths.
  static let files: [TextFile] = {
    var files: [TextFile] = []
    collect("", into: &files)
    return files.sorted { $0.path < $1.path }
  }()

  static let sources = files.filter { isCode($0.path) && $0.path.hasPrefix("Sources/") }
  static let code = files.filter {
    isCode($0.path) && ($0.path.hasPrefix("Sources/") || $0.path.hasPrefix("Tests/"))
  }
  static let documents = files.filter { $0.path.hasSuffix(".md") }

  static func file(_ path: String) -> TextFile? { files.first { $0.path == path } }

  /// Whether a path from the root leads to a file or directory.
  static func exists(_ path: String) -> Bool {
    let path = "\(Places.packageRoot)/\(path)"
    return Directory.exists(path) || Directory.isFile(path)
  }

  private static func isCode(_ path: String) -> Bool {
    [".swift", ".c", ".h", ".modulemap"].contains { path.hasSuffix($0) }
  }

  private static let textEndings = [
    ".swift", ".c", ".h", ".modulemap", ".md", ".py", ".sh", ".yml", ".yaml", "Makefile", "run",
    ".swift-format", ".gitignore",
  ]

  private static func collect(_ folder: String, into files: inout [TextFile]) {
    let absolute = folder.isEmpty ? Places.packageRoot : "\(Places.packageRoot)/\(folder)"
    for name in (try? Directory.names(in: absolute)) ?? [] {
      let path = folder.isEmpty ? name : "\(folder)/\(name)"
      let whole = "\(Places.packageRoot)/\(path)"
      if Directory.exists(whole) {
        if ![".git", "shards", ".swiftpm"].contains(name), !name.hasPrefix(".build") {
          collect(path, into: &files)
        }
      } else if textEndings.contains(where: { name.hasSuffix($0) }),
        let bytes = try? InputFile.contents(of: whole, limit: 4 << 20)
      {
        let text = String(decoding: bytes, as: UTF8.self)
        files.append(
          TextFile(path: path, lines: text.split(separator: "\n", omittingEmptySubsequences: false))
        )
      }
    }
  }
}
