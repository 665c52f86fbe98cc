import CommandLineSupport
import ModelArchitectures
import ShardPreparation
import TensorCore

/// What a bundle holds, for people.
enum PackText {
  static func render(_ report: PackReport) -> String {
    parts(report).rendered() + "\n" + schemes(report).rendered() + "\n"
      + nodes(report).rendered() + "\n" + closing(report)
  }

  private static func parts(_ report: PackReport) -> TextTable {
    var table = TextTable([
      ("component", .left), ("raw", .right), ("stored", .right), ("ratio", .right),
    ])
    var rest = report.parts[...]
    while let first = rest.first {
      // Blocks of one size stand in one row.
      let run = rest.prefix {
        $0.name == first.name
          || (isBlock(first) && isBlock($0) && $0.rawByteCount == first.rawByteCount)
      }
      rest = rest.dropFirst(run.count)
      let name = run.count > 1 ? "\(first.name) … \(run.last?.name ?? "")" : first.name
      table.add(
        [name]
          + figures(
            run.reduce(0) { $0 + $1.rawByteCount }, run.reduce(0) { $0 + $1.storedByteCount }))
    }
    table.add(["all"] + figures(report.rawByteCount, report.storedByteCount))
    return table
  }

  private static func isBlock(_ part: PackReport.Part) -> Bool { part.name.hasPrefix("block-") }

  private static func schemes(_ report: PackReport) -> TextTable {
    var columns: [(String, TextTable.Alignment)] = [
      ("scheme", .left), ("tensors", .right), ("weights", .right), ("raw", .right),
      ("stored", .right), ("ratio", .right), ("stored bits/weight", .right),
    ]
    let isMeasured = report.schemes.contains { $0.entropyByteCount != nil }
    if isMeasured { columns += [("entropy", .right), ("stored/entropy", .right)] }
    var table = TextTable(columns)
    for total in report.schemes {
      let bits = 8 * Double(total.storedByteCount) / Double(max(1, total.elementCount))
      var row =
        [total.scheme, "\(total.tensorCount)", "\(total.elementCount)"]
        + figures(total.rawByteCount, total.storedByteCount)
        + [Quantity.fixed(bits, digits: 3)]
      if isMeasured {
        row += [
          total.entropyByteCount.map { Quantity.describe(bytes: $0) } ?? "",
          total.storedPerEntropy.map { Quantity.fixed($0, digits: 4) } ?? "",
        ]
      }
      table.add(row)
    }
    return table
  }

  private static func nodes(_ report: PackReport) -> TextTable {
    var table = TextTable([
      ("node", .left), ("holds", .left), ("blobs", .right), ("weights", .right),
      ("to copy", .right),
    ])
    for node in report.nodes {
      table.add([
        node.name, holdings(node.components), "\(node.blobCount)",
        Quantity.describe(bytes: node.rawByteCount),
        Quantity.describe(bytes: node.storedByteCount),
      ])
    }
    return table
  }

  /// `embedding, blocks 0-3, head`.
  static func holdings(_ components: [Component]) -> String {
    let blocks = components.compactMap { component -> Int? in
      if case .block(let layer) = component { layer } else { nil }
    }
    var parts: [String] = []
    if components.contains(.embedding) { parts.append("embedding") }
    if let first = blocks.first, let last = blocks.last {
      parts.append(first == last ? "block \(first)" : "blocks \(first)-\(last)")
    }
    if components.contains(.head) { parts.append("head") }
    return parts.joined(separator: ", ")
  }

  private static func closing(_ report: PackReport) -> String {
    let halves = 2 * report.elementCount
    let ratio = Double(halves) / Double(max(1, report.storedByteCount))
    var text =
      "\(Quantity.describe(bytes: report.storedByteCount)) in all, "
      + "\(Quantity.fixed(ratio, digits: 2)) times smaller than the weights in 16 bits\n"
    let kept = report.parts.filter(\.isKept).count
    if kept > 0, let written = report.writtenByteCount {
      text +=
        "\(kept) of \(Quantity.count(report.parts.count, "blob")) \(kept == 1 ? "was" : "were") "
        + "there already; "
        + "\(Quantity.describe(bytes: written)) written\n"
    }
    if report.writtenByteCount != nil, let signer = report.signers.first {
      let manifest = report.manifest
      text += "number \(manifest.sequence) of \(manifest.name), signed by \(signer)\n"
    }
    return text + "bundle \(report.manifest.bundleID)\n"
  }

  private static func figures(_ raw: Int, _ stored: Int) -> [String] {
    let ratio = Double(raw) / Double(max(1, stored))
    return [
      Quantity.describe(bytes: raw), Quantity.describe(bytes: stored),
      Quantity.fixed(ratio, digits: 3),
    ]
  }
}
