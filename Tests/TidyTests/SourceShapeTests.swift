import Testing

/// Files, functions and lines stay short enough to be read.
@Suite struct SourceShapeTests {
  static let maximumFileLength = 600
  static let maximumFunctionLength = 70
  static let maximumLineLength = 100

  @Test func theRepositoryIsFound() {
    #expect(Repository.sources.count > 20)
    #expect(Repository.documents.count > 3)
    #expect(Repository.file("Package.swift") != nil)
  }

  @Test func filesAreShort() {
    let long = Repository.code.filter { $0.lines.count > Self.maximumFileLength + 1 }
      .map { "\($0.path): \($0.lines.count) lines" }
    if !long.isEmpty { Issue.record("over \(Self.maximumFileLength) lines: \(list(long))") }
  }

  @Test func linesAreShort() {
    let long = Repository.code.flatMap { file in
      file.lines.enumerated().filter { $1.count > Self.maximumLineLength }
        .map { "\(file.path):\($0.offset + 1) has \($0.element.count) columns" }
    }
    if !long.isEmpty { Issue.record("over \(Self.maximumLineLength) columns: \(list(long))") }
  }

  @Test func linesEndCleanly() {
    let untidy = Repository.code.flatMap { file in
      file.lines.enumerated()
        .filter { $1.last == " " || $1.last == "\r" || $1.contains("\t") }
        .map { "\(file.path):\($0.offset + 1)" }
    }
    if !untidy.isEmpty { Issue.record("a tab or white space at the end: \(list(untidy))") }
  }

  @Test func functionsAreShort() {
    let long = Repository.sources.filter { $0.path.hasSuffix(".swift") }.flatMap(longFunctions)
    if !long.isEmpty {
      Issue.record("functions over \(Self.maximumFunctionLength) lines: \(list(long))")
    }
  }

  private func longFunctions(_ file: Repository.TextFile) -> [String] {
    var found: [String] = []
    for (start, line) in file.lines.enumerated() {
      let body = line.drop { $0 == " " }
      let isFunction =
        !body.hasPrefix("//")
        && (body.contains("func ") || body.contains("init(") && body.hasSuffix("{"))
      guard isFunction else { continue }
      let closing = String(repeating: " ", count: line.count - body.count) + "}"
      guard let end = file.lines[start...].firstIndex(where: { $0 == closing }),
        end - start + 1 > Self.maximumFunctionLength
      else { continue }
      found.append("\(file.path):\(start + 1) has \(end - start + 1) lines")
    }
    return found
  }

  /// Words that stand for unfinished work or for a crash on data. (They are put together here so
  /// that this file does not contain them.)
  static let forbidden = [
    "fatal" + "Error(", "try" + "!", "as" + "! ", "TO" + "DO", "FIX" + "ME", "XX" + "X ",
    "not " + "implemented",
  ]

  @Test(arguments: forbidden)
  func sourcesDoNotContain(word: String) {
    let places = Repository.sources.flatMap { file in
      file.lines.enumerated().filter { $1.contains(word) }
        .map { "\(file.path):\($0.offset + 1)" }
    }
    if !places.isEmpty { Issue.record("\(word) stands in \(list(places))") }
  }

  @Test func folderNamesSayWhatIsInThem() {
    let vague = ["utils", "util", "helpers", "common", "misc", "extensions"]
    let offenders = Repository.code.filter { file in
      file.path.lowercased().split(whereSeparator: { "/.".contains($0) })
        .contains { vague.contains(String($0)) }
    }
    if !offenders.isEmpty { Issue.record("\(list(offenders.map(\.path)))") }
  }
}

/// Offenders, one a line.
func list(_ items: [String]) -> String {
  items.prefix(60).map { "\n  " + $0 }.joined()
    + (items.count > 60 ? "\n  and \(items.count - 60) more" : "")
}
