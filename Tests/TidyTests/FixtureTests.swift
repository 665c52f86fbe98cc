import ShardPackaging
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// The committed fixtures are those whose digests `fixtures/SHA256SUMS` lists, and no others.
@Suite struct FixtureTests {
  static let root = "\(Places.packageRoot)/fixtures"
  static let listed: [(path: String, digest: String)] = {
    let bytes = (try? InputFile.contents(of: root + "/SHA256SUMS")) ?? []
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      return words.count == 2 ? (String(words[1]), String(words[0])) : nil
    }
  }()

  @Test func digestsMatch() throws {
    #expect(!Self.listed.isEmpty)
    for (path, expected) in Self.listed {
      let digest = Digest(of: try InputFile.contents(of: "\(Self.root)/\(path)"))
      #expect(digest.hexadecimal == expected, "fixtures/\(path)")
    }
  }

  /// Schemas, node profiles and recipes read as the programs read them: as strict JSON.
  @Test func manifestsAreStrictJSON() throws {
    var count = 0
    for folder in try Directory.names(in: "\(Places.packageRoot)/manifests") {
      for name in try Directory.names(in: "\(Places.packageRoot)/manifests/\(folder)") {
        let path = "\(Places.packageRoot)/manifests/\(folder)/\(name)"
        #expect(throws: Never.self, "\(path)") {
          try JSONParsing().parse(try InputFile.contents(of: path))
        }
        count += 1
      }
    }
    #expect(count > 0)
  }

  @Test func everyFileIsListed() throws {
    var found: [String] = []
    try collect("", into: &found)
    let own: Set = ["README.md", "SHA256SUMS"]
    #expect(found.filter { !own.contains($0) }.sorted() == Self.listed.map(\.path).sorted())
  }

  private func collect(_ folder: String, into found: inout [String]) throws {
    for name in try Directory.names(in: "\(Self.root)/\(folder)") {
      let path = folder.isEmpty ? name : "\(folder)/\(name)"
      if Directory.exists("\(Self.root)/\(path)") {
        try collect(path, into: &found)
      } else {
        found.append(path)
      }
    }
  }
}
