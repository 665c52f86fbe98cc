import TestSupport
import Testing

/// What the documents say of the repository is there.
@Suite struct DocumentTests {
  @Test(arguments: [
    "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "Makefile",
    ".swift-format", ".ci/run", "docs/glossary.md", "docs/adr/README.md", "fixtures/README.md",
  ])
  func theHouseIsComplete(path: String) {
    #expect(Repository.exists(path), "\(path) is missing")
  }

  @Test func linksLeadSomewhere() {
    var count = 0
    for document in Repository.documents {
      for link in links(in: document) {
        guard !link.contains("://"), !link.hasPrefix("#"), !link.hasPrefix("mailto:") else {
          continue
        }
        count += 1
        let target = link.prefix { $0 != "#" }
        #expect(
          Repository.exists(resolve(String(target), from: document.path)),
          "\(document.path) links to \(link), which is not there")
      }
    }
    #expect(count > 10)
  }

  /// Targets of `[text](target)`, outside code.
  private func links(in document: Repository.TextFile) -> [String] {
    var found: [String] = []
    var isCode = false
    for line in document.lines {
      if line.hasPrefix("```") { isCode.toggle() }
      guard !isCode else { continue }
      // Every other piece between backquotes is code.
      let prose = line.split(separator: "`", omittingEmptySubsequences: false).enumerated()
        .map { $0.offset % 2 == 0 ? String($0.element) : "code" }.joined()
      for piece in prose.split(separator: "](", omittingEmptySubsequences: false).dropFirst() {
        found.append(String(piece.prefix { $0 != ")" && $0 != " " }))
      }
    }
    return found
  }

  private func resolve(_ link: String, from path: String) -> String {
    var parts = path.split(separator: "/").dropLast().map(String.init)
    for part in link.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(String(part)) }
    }
    return parts.joined(separator: "/")
  }

  @Test func theChangelogHasAPlaceForWhatIsNew() throws {
    let changelog = try #require(Repository.file("CHANGELOG.md"))
    #expect(changelog.lines.contains { $0.hasPrefix("## Unreleased") })
  }

  @Test func makefileTargetsSayWhatTheyDo() throws {
    let makefile = try #require(Repository.file("Makefile"))
    #expect(makefile.lines.count <= 150, "\(makefile.lines.count) lines")
    let targets = makefile.lines.filter { line in
      guard let first = line.first, first.isLowercase, let colon = line.firstIndex(of: ":") else {
        return false
      }
      return !line[colon...].hasPrefix(":=")
        && line[..<colon].allSatisfy { $0.isLetter || $0 == "-" }
    }
    #expect(targets.count >= 11)
    for target in targets { #expect(target.contains(" ## "), "no help: \(target)") }
  }

  /// Paths of one machine have no place in a repository.
  @Test func noPathsOfOneMachine() {
    let roots = ["work", "farm", "root", "home", "Users"].map { "/\($0)/" }
    for file in Repository.files {
      for (number, line) in file.lines.enumerated() {
        for root in roots {
          guard let range = line.range(of: root) else { continue }
          let before = line[..<range.lowerBound].last
          let isPath =
            before.map { !($0.isLetter || $0.isNumber || "._-~*)}".contains($0)) } ?? true
          if isPath { Issue.record("\(file.path):\(number + 1) names \(root)") }
        }
      }
    }
  }
}

extension Substring {
  /// Where a text first stands in another.
  fileprivate func range(of text: String) -> Range<Index>? { firstRange(of: text) }
}
