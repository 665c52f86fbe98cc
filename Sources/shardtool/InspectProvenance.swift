import ShardPackaging
import TensorCore

/// Where weights come from, in lines for `inspect`.
enum ProvenanceText {
  static func lines(_ provenance: Provenance, packed: Bool) -> [(String, String)] {
    var lines: [(String, String)] = []
    if packed { lines.append(("packed by", provenance.packer)) }
    let quantizer = provenance.quantizer.isEmpty ? "not known" : provenance.quantizer
    lines.append(("quantized by", "\(quantizer), format \(provenance.quantizedFormat)"))
    lines.append(("recipe", recipe(provenance.recipe)))
    guard !provenance.sources.isEmpty else { return lines + [("made from", "not known")] }
    let hasLicence = provenance.sources.contains { $0.role == .licence }
    for source in provenance.sources {
      lines.append(
        (
          source.role == .licence ? "licence" : "made from",
          "\(source.name), \(Quantity.describe(bytes: source.byteCount)), \(source.digest)"
        ))
    }
    return hasLicence ? lines : lines + [("licence", "no file beside the checkpoint")]
  }

  private static func recipe(_ recipe: Provenance.RecipeRecord) -> String {
    var parts: [String] = []
    if !recipe.standard.isEmpty { parts.append("\(recipe.standard) throughout") }
    parts += recipe.roles.sorted { $0.key < $1.key }.map { "\($0.value) for \($0.key)" }
    if !recipe.tiedEmbedding.isEmpty { parts.append("\(recipe.tiedEmbedding) where tied") }
    return parts.isEmpty ? recipe.name : "\(recipe.name): \(parts.joined(separator: ", "))"
  }

  /// Who signed, as far as the file beside the manifest says.
  static func signers(_ signers: [String]) -> String {
    signers.isEmpty
      ? "nobody" : signers.joined(separator: ", ") + " (verify --trust checks that)"
  }
}
