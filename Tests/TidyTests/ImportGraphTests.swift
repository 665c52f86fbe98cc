import TensorCore
import TestSupport
import Testing

/// The target graph of Package.swift: rows in path order, and each source importing only what
/// its target declares.
@Suite struct ImportGraphTests {
  struct Target: Sendable, CustomTestStringConvertible {
    let name: String
    let row: String
    let dependencies: [String]
    /// The folder of its sources.
    let folder: String

    var testDescription: String { name }
  }

  static let rows = ["C", "ground", "nouns", "arrows", "programs", "tests"]
  /// Modules that come with the system or the toolchain.
  static let systemModules: Set = [
    "Foundation", "FoundationEssentials", "Glibc", "Musl", "Darwin", "Dispatch",
    "Synchronization", "Testing",
  ]

  static let targets: [Target] = parse(Repository.file("Package.swift")?.lines ?? [])

  @Test func rowsAreFound() {
    #expect(Self.targets.count > 20)
    for row in Self.rows { #expect(Self.targets.contains { $0.row == row }, "row \(row)") }
    for target in Self.targets { #expect(Repository.exists(target.folder), "\(target.folder)") }
  }

  /// A target depends on rows below its own, or on targets to its left in the same row; the
  /// composers in "arrows" know nothing of each other.
  @Test func dependenciesPointDownAndLeft() {
    var seen: [String: String] = [:]
    for target in Self.targets {
      for dependency in target.dependencies where Self.isOurs(dependency) {
        guard let row = seen[dependency] else {
          Issue.record("\(target.name) depends on \(dependency), which comes after it")
          continue
        }
        #expect(
          row != target.row || target.row != "arrows", "\(target.name) depends on \(dependency)")
      }
      seen[target.name] = target.row
    }
  }

  @Test(arguments: targets)
  func sourcesImportOnlyWhatIsDeclared(target: Target) {
    let allowed = Set(target.dependencies).union(Self.systemModules)
    for file in Repository.code where file.path.hasPrefix(target.folder + "/") {
      for module in imports(file) where !allowed.contains(module) {
        Issue.record("\(file.path) imports \(module), which \(target.name) does not declare")
      }
    }
  }

  private static func isOurs(_ name: String) -> Bool { targets.contains { $0.name == name } }

  private func imports(_ file: Repository.TextFile) -> [String] {
    guard file.path.hasSuffix(".swift") else { return [] }
    var isText = false
    return file.lines.compactMap { line in
      // Programs of other languages stand in literals of several lines.
      if line.split(separator: "\"\"\"", omittingEmptySubsequences: false).count % 2 == 0 {
        isText.toggle()
      }
      guard !isText else { return nil }
      var words = line.split(separator: " ")
      while let word = words.first, word.hasPrefix("@") || Self.importModifiers.contains(word) {
        words.removeFirst()
      }
      guard words.count > 1, words.removeFirst() == "import" else { return nil }
      while words.count > 1, Self.importKinds.contains(words[0]) { words.removeFirst() }
      return words[0].split(separator: ".").first.map(String.init)
    }
  }

  private static let importModifiers: Set<Substring> = ["public", "package", "internal", "private"]
  private static let importKinds: Set<Substring> = ["struct", "class", "enum", "func", "protocol"]

  private static let makers = [
    "library(\"", "program(\"", "tests(\"", ".target(name:\"", ".systemLibrary(name:\"",
  ]
  /// Variables of Package.swift that stand for products of other packages.
  private static let products = [
    "nio": ["NIOCore", "NIOPosix"], "logging": ["Logging"], "argumentParser": ["ArgumentParser"],
    "subprocess": ["Subprocess"], "openMPI": ["CMPI"], "tls": ["NIOSSL", "NIOTLS"],
  ]
  /// What the functions of Package.swift add to every target of their kind.
  private static let implied = [
    "program(\"": ["ArgumentParser"], "tests(\"": ["TestSupport"],
  ]

  /// Reads the calls that make targets, with every quoted name in them.
  private static func parse(_ lines: [Substring]) -> [Target] {
    guard let first = lines.firstIndex(of: "  targets: [") else { return [] }
    var rest = lines[first...].joined(separator: "\n")[...]
    var targets: [Target] = []
    var row = ""
    while !rest.isEmpty {
      if rest.hasPrefix("    // "), let end = rest.firstIndex(of: "\n") {
        row = String(rest[..<end].dropFirst(7))
        rest = rest[end...]
        continue
      }
      let compact = rest.prefix(80).filter { !$0.isWhitespace }
      guard rest.first?.isWhitespace == false,
        let maker = makers.first(where: { compact.hasPrefix($0) })
      else {
        rest.removeFirst()
        continue
      }
      let call = balanced(&rest)
      let names = quoted(call)
      guard let name = names.first else { continue }
      var dependencies = maker.hasPrefix(".system") ? [] : Array(names.dropFirst())
      dependencies += implied[maker] ?? []
      for (variable, modules) in products where call.contains(variable) {
        dependencies += modules
      }
      targets.append(
        Target(
          name: name, row: row, dependencies: dependencies,
          folder: (row == "tests" ? "Tests/" : "Sources/") + name))
    }
    return targets
  }

  /// Takes text up to the parenthesis that closes the first one.
  private static func balanced(_ rest: inout Substring) -> Substring {
    var depth = 0
    var index = rest.startIndex
    while index < rest.endIndex {
      if rest[index] == "(" { depth += 1 }
      if rest[index] == ")" {
        depth -= 1
        if depth == 0 { break }
      }
      index = rest.index(after: index)
    }
    let call = rest[..<index]
    rest = rest[index...]
    return call
  }

  private static func quoted(_ text: Substring) -> [String] {
    text.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
      .compactMap { $0.offset % 2 == 1 ? String($0.element) : nil }
  }
}
