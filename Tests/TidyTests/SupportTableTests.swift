import ModelArchitectures
import Testing

/// The README's table of model families is what the registry says.
@Suite struct SupportTableTests {
  static let rows =
    ["| family | `model_type` | peculiarities that tests cover |", "|---|---|---|"]
    + ArchitectureRegistry.all.map { family in
      let types = family.modelTypes.map { "`\($0)`" }.joined(separator: ", ")
      return "| \(family.family) | \(types) | \(family.quirks.joined(separator: "; ")) |"
    }

  @Test func readmeListsEveryFamily() throws {
    let lines = try #require(Repository.file("README.md")).lines
    let first = lines.firstIndex { $0 == Self.rows[0] } ?? lines.endIndex
    let found = lines[first...].prefix { $0.hasPrefix("|") }.map(String.init)
    if found != Self.rows {
      Issue.record("README.md should have this table:\n\(Self.rows.joined(separator: "\n"))")
    }
  }
}
