import TensorCore

/// A plan as a picture: each node's memory as a stacked bar, with the links between them.
///
/// The text is the same for the same plan: whole pixels, no dates, no fonts of a system.
public struct PlanPicture: Sendable {
  private let plan: ShardPlan
  private let largestRAM: Int
  private var body: [String] = []

  private static let barHeight = 320
  private static let barWidth = 120
  private static let gap = 110
  private static let left = 40
  private static let top = 90

  /// What a bar is made of, from the bottom up.
  private static let parts: [(label: String, color: String, kinds: [LedgerKind])] = [
    ("process", "#8d99ae", [.runtime, .loading, .tokenizer]),
    ("activations", "#e9c46a", [.activations]),
    ("key-value cache", "#2a9d8f", [.keyValueCache]), ("embedding", "#9b5de5", [.embedding]),
    ("layers", "#3a86ff", [.weights]), ("head", "#f15bb5", [.head]),
  ]
  private static let reserveColor = "#d5d9de"

  public init(_ plan: ShardPlan) {
    self.plan = plan
    largestRAM = plan.nodes.map(\.ledger.ramBytes).max() ?? 1
  }

  /// The picture as SVG.
  public var svg: String {
    var picture = self
    picture.draw()
    let width =
      2 * Self.left + plan.nodes.count * Self.barWidth + (plan.nodes.count - 1) * Self.gap
    let height = Self.top + Self.barHeight + 150
    let full = max(width, 640)
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(full) \(height)" \
      width="\(full)" height="\(height)" font-family="sans-serif" font-size="12">
      <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" \
      markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#444"/></marker></defs>
      <rect width="\(full)" height="\(height)" fill="#ffffff"/>
      \(picture.body.joined(separator: "\n"))
      </svg>

      """
  }

  /// Whether a file begins as `svg` does.
  public static func isPicture(_ bytes: [UInt8]) -> Bool {
    let lines = String(decoding: bytes.prefix(1000), as: UTF8.self).split(separator: "\n")
    return lines.count > 1 && lines[0].hasPrefix("<svg xmlns=\"http://www.w3.org/2000/svg\" ")
      && lines[1].hasPrefix("<defs><marker id=\"tip\" ")
  }

  private mutating func draw() {
    let rate = Quantity.fixed(plan.prediction.tokensPerSecond, digits: 1)
    text(
      Self.left, 28,
      "\(plan.facts.family), \(Quantity.count(plan.facts.layerCount, "layer")): "
        + "\(rate) tokens/s predicted",
      size: 16)
    text(Self.left, 48, "context \(plan.context), memory per node as planned", color: "#666")
    for index in plan.nodes.indices { drawBar(index) }
    for index in plan.nodes.indices.dropLast() { drawLink(index) }
    if plan.nodes.count > 1 { drawWayBack() }
    drawLegend()
  }

  private func x(_ index: Int) -> Int { Self.left + index * (Self.barWidth + Self.gap) }

  /// Pixels of so many bytes; at least 1 where there are any.
  private func pixels(_ bytes: Int) -> Int {
    guard bytes > 0 else { return 0 }
    return max(1, Int(Double(bytes) * Double(Self.barHeight) / Double(largestRAM)))
  }

  private mutating func drawBar(_ index: Int) {
    let node = plan.nodes[index]
    let (left, base) = (x(index), Self.top + Self.barHeight)
    let height = pixels(node.ledger.ramBytes)
    text(left, base - height - 8, node.name, size: 13)
    rect(left, base - height, Self.barWidth, height, "#ffffff", stroke: "#444")
    var y = base
    for part in Self.parts {
      let bytes = part.kinds.reduce(0) { $0 + node.ledger[$1] }
      let size = pixels(bytes)
      guard size > 0 else { continue }
      y -= size
      rect(left, y, Self.barWidth, size, part.color)
      if part.kinds == [.weights] { drawLayers(node, left, y, size) }
    }
    let reserve = pixels(node.ledger.reserveBytes)
    rect(left, base - height, Self.barWidth, reserve, Self.reserveColor, stroke: "#444")
    if reserve >= 14 {
      text(left + 6, base - height + 13, "system \(describe(node.ledger.reserveBytes))")
    }
    if y - (base - height + reserve) >= 14 {
      text(left + 6, y - 5, "\(describe(node.ledger.headroom)) free", color: "#666")
    }
    let last = node.layers.upperBound - 1
    let layers =
      node.layers.count == 1 ? "layer \(last)" : "layers \(node.layers.lowerBound)–\(last)"
    text(left, base + 18, layers)
    text(
      left, base + 34,
      "\(describe(node.ledger.total)), \(milliseconds(node.predicted.decodeNanoseconds)) ms")
  }

  /// Lines between the layers, where there is room for them.
  private mutating func drawLayers(_ node: PlannedNode, _ left: Int, _ y: Int, _ size: Int) {
    let count = node.layers.count
    if size >= 3 * count {
      for layer in 1..<max(1, count) {
        let at = y + size * layer / count
        line(left, at, left + Self.barWidth, at, "#ffffff", width: 1)
      }
    }
    if size >= 18 {
      text(left + 6, y + size / 2 + 4, Quantity.count(count, "layer"), color: "#ffffff")
    }
  }

  private mutating func drawLink(_ index: Int) {
    let y = Self.top + Self.barHeight - 24
    let start = x(index) + Self.barWidth
    line(start + 6, y, start + Self.gap - 6, y, "#444", width: 2, hasTip: true)
    let time = milliseconds(plan.nodes[index].predicted.sendNanoseconds)
    text(start + 22, y - 8, "\(time) ms")
  }

  private mutating func drawWayBack() {
    let y = Self.top + Self.barHeight + 52
    let last = plan.nodes.count - 1
    let (start, end) = (x(last) + Self.barWidth / 2, x(0) + Self.barWidth / 2)
    body.append(
      "<path d=\"M\(start) \(y - 10)V\(y)H\(end)V\(y - 10)\" fill=\"none\" stroke=\"#444\" "
        + "stroke-width=\"2\" marker-end=\"url(#tip)\"/>")
    let time = milliseconds(plan.nodes[last].predicted.sendNanoseconds)
    text((start + end) / 2 - 40, y + 16, "token back, \(time) ms")
  }

  private mutating func drawLegend() {
    let y = Self.top + Self.barHeight + 100
    let entries = Self.parts.map { ($0.label, $0.color) } + [("system", Self.reserveColor)]
    var left = Self.left
    for (label, color) in entries {
      rect(left, y, 12, 12, color)
      text(left + 16, y + 11, label)
      left += 30 + label.utf8.count * 7
    }
  }

  private func describe(_ bytes: Int) -> String { Quantity.describe(bytes: bytes) }

  private func milliseconds(_ nanoseconds: Int) -> String {
    let value = Double(nanoseconds) / 1e6
    return Quantity.fixed(value, digits: value < 1 ? 2 : 1)
  }

  private mutating func rect(
    _ x: Int, _ y: Int, _ width: Int, _ height: Int, _ fill: String, stroke: String? = nil
  ) {
    guard height > 0 else { return }
    let edge = stroke.map { " stroke=\"\($0)\"" } ?? ""
    body.append(
      "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" height=\"\(height)\" "
        + "fill=\"\(fill)\"\(edge)/>"
    )
  }

  private mutating func line(
    _ x1: Int, _ y1: Int, _ x2: Int, _ y2: Int, _ color: String, width: Int, hasTip: Bool = false
  ) {
    let tip = hasTip ? " marker-end=\"url(#tip)\"" : ""
    body.append(
      "<line x1=\"\(x1)\" y1=\"\(y1)\" x2=\"\(x2)\" y2=\"\(y2)\" stroke=\"\(color)\" "
        + "stroke-width=\"\(width)\"\(tip)/>")
  }

  private mutating func text(
    _ x: Int, _ y: Int, _ text: String, size: Int = 12, color: String = "#222"
  ) {
    body.append(
      "<text x=\"\(x)\" y=\"\(y)\" font-size=\"\(size)\" fill=\"\(color)\">"
        + "\(Self.escape(text))</text>"
    )
  }

  private static func escape(_ text: String) -> String {
    var escaped = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      case "\u{0}"..<" ": escaped += " "
      default: escaped.unicodeScalars.append(character)
      }
    }
    return escaped
  }
}
