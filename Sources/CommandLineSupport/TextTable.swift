/// A table in plain text: columns as wide as their widest cell, two spaces between.
public struct TextTable {
  public enum Alignment: Sendable { case left, right }

  private let titles: [String]
  private let alignments: [Alignment]
  private var rows: [[String]] = []

  public init(_ columns: [(title: String, alignment: Alignment)]) {
    titles = columns.map(\.title)
    alignments = columns.map(\.alignment)
  }

  /// Adds a row; missing cells stay empty.
  public mutating func add(_ cells: [String]) {
    rows.append(cells + Array(repeating: "", count: max(0, titles.count - cells.count)))
  }

  /// The table with a rule below the titles, ended by a line feed.
  public func rendered() -> String {
    var widths = titles.map(\.count)
    for row in rows {
      for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
    }
    func line(_ cells: [String]) -> String {
      var text = ""
      for (column, cell) in cells.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        if column > 0 { text += "  " }
        text += alignments[column] == .left ? cell + padding : padding + cell
      }
      while text.hasSuffix(" ") { text.removeLast() }
      return text + "\n"
    }
    let rule = line(widths.map { String(repeating: "-", count: $0) })
    return line(titles) + rule + rows.map(line).joined()
  }
}
