import TensorCore

/// The errors of an evaluation as a picture: a bar for the hidden states behind each layer and,
/// where it was measured, a dot for each tensor's own products.
///
/// The text is the same for the same evaluation: whole pixels, no dates, no fonts of a system.
public struct ErrorChart: Sendable {
  private let evaluation: Evaluation

  private static let height = 240
  private static let left = 70
  private static let top = 60

  public init(_ evaluation: Evaluation) { self.evaluation = evaluation }

  private static let mark = "<!-- shardtool error chart -->"

  /// Whether a file begins as `svg` does.
  public static func isChart(_ bytes: [UInt8]) -> Bool {
    let lines = String(decoding: bytes.prefix(1000), as: UTF8.self).split(separator: "\n")
    return lines.count > 1 && lines[1] == mark
  }

  private var dots: [(layer: Int, error: Double)] {
    (evaluation.sensitivity ?? []).compactMap { tensor in
      tensor.layer.map { ($0, tensor.outputError) }
    }
  }

  /// The picture as SVG.
  public var svg: String {
    let errors = evaluation.layerErrors
    let step = max(8, min(40, 900 / max(1, errors.count)))
    let width = max(640, Self.left + errors.count * step + 30)
    let most = max(1e-9, (errors + dots.map(\.error)).max() ?? 0)
    func y(_ error: Double) -> Int {
      // What is no number stands at the top.
      let share = error / most
      let shown = share.isFinite ? min(1, max(0, share)) : 1
      return Self.top + Self.height - Int((shown * Double(Self.height)).rounded())
    }
    var body: [String] = []
    for part in 0...4 {
      let error = most * Double(part) / 4
      body.append(
        "<path d=\"M\(Self.left - 4) \(y(error))H\(width - 20)\" stroke=\"#d5d9de\"/>"
          + "<text x=\"\(Self.left - 8)\" y=\"\(y(error) + 4)\" text-anchor=\"end\">"
          + "\(Quantity.fixed(100 * error, digits: 2)) %</text>")
    }
    for (layer, error) in errors.enumerated() {
      let x = Self.left + layer * step
      body.append(
        "<rect x=\"\(x + 1)\" y=\"\(y(error))\" width=\"\(step - 2)\" "
          + "height=\"\(Self.top + Self.height - y(error))\" fill=\"#3a86ff\"/>")
      if layer % max(1, 40 / step) == 0 {
        body.append(
          "<text x=\"\(x + step / 2)\" y=\"\(Self.top + Self.height + 16)\" "
            + "text-anchor=\"middle\">\(layer)</text>")
      }
    }
    for (layer, error) in dots {
      body.append(
        "<circle cx=\"\(Self.left + layer * step + step / 2)\" cy=\"\(y(error))\" r=\"3\" "
          + "fill=\"#f15bb5\"/>")
    }
    let legend =
      "relative error of the hidden states behind each layer"
      + (dots.isEmpty ? "" : " (bars) and of each tensor's own products (dots)")
    let full = Self.top + Self.height + 40
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(full)" \
      width="\(width)" height="\(full)" font-family="sans-serif" font-size="12">
      \(Self.mark)
      <rect width="\(width)" height="\(full)" fill="#ffffff"/>
      <text x="\(Self.left)" y="24" font-size="16">\(title)</text>
      <text x="\(Self.left)" y="44">\(legend)</text>
      \(body.joined(separator: "\n"))
      </svg>

      """
  }

  private var title: String {
    "mean KL divergence \(Quantity.fixed(evaluation.divergence.value, digits: 5)), perplexity "
      + "\(Quantity.fixed(evaluation.perplexity.value, digits: 4)) (original "
      + "\(Quantity.fixed(evaluation.referencePerplexity.value, digits: 4)))"
  }
}
