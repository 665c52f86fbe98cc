/// Names of files and directories in the making, which users need not know.
enum StagingName {
  private static let suffix = ".partial"

  /// The path that something will have when it is finished: `a/.out.partial/b` becomes `a/out/b`,
  /// and `a/plan.json.4711.partial` becomes `a/plan.json`.
  static func finalPath(_ path: String) -> String {
    path.split(separator: "/", omittingEmptySubsequences: false).map(finalName)
      .joined(separator: "/")
  }

  private static func finalName(_ name: Substring) -> Substring {
    guard name.hasSuffix(suffix) else { return name }
    var stem = name.dropLast(suffix.count)
    if stem.hasPrefix(".") {
      stem = stem.dropFirst()
      if stem.hasSuffix(suffix + ".old") { stem = stem.dropLast(suffix.count + 4) }
    } else if let dot = stem.lastIndex(of: "."), dot > stem.startIndex {
      let process = stem[stem.index(after: dot)...]
      if !process.isEmpty, process.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
        stem = stem[..<dot]
      }
    }
    return stem.isEmpty ? name : stem
  }
}
