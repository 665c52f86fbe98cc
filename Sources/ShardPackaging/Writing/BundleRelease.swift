import ShardPlanning
import TensorCore

/// As what a bundle goes out: its name, its number in the line of that name, and whose it is.
public struct BundleRelease: Sendable {
  /// Nil for family and shape, such as `llama-32x4096`.
  public var name: String?
  /// Nil for one more than the bundle that is replaced, or its own number where nothing changed;
  /// as long as nobody signs, all are number 1.
  public var sequence: Int?
  /// Nil for a bundle without a signature.
  public var key: SigningKey?

  public init(name: String? = nil, sequence: Int? = nil, key: SigningKey? = nil) {
    self.name = name
    self.sequence = sequence
    self.key = key
  }

  func name(for facts: ModelFacts) throws(PackageFault) -> String {
    guard let name else { return "\(facts.family)-\(facts.layerCount)x\(facts.hiddenSize)" }
    guard ManifestLimits.isPlainName(name) else {
      throw PackageFault(
        "name",
        "a bundle cannot be called \"\(name)\"; take 1 to 64 of A-Z a-z 0-9 . _ - that begin with "
          + "a letter or digit", exitStatus: .usage)
    }
    return name
  }

  /// The manifest with its number: the one asked for, else what follows from the bundle that
  /// stands where this one will be.
  func numbered(_ manifest: Manifest, replacing directory: String) -> Manifest {
    var numbered = manifest
    if let sequence {
      numbered.sequence = sequence
      return numbered
    }
    let path = "\(directory)/\(BundleFiles.manifest)"
    guard
      let bytes = try? InputFile.contents(of: path, limit: ManifestLimits.manifestByteCount),
      let old = try? Manifest(file: bytes, path: path), old.name == manifest.name
    else { return numbered }
    let isSigned = Directory.isFile("\(directory)/\(BundleFiles.signature)")
    guard key != nil || isSigned || old.sequence > 1 else { return numbered }
    // The same bundle again is the same number again: the same input makes the same bytes.
    numbered.sequence = old.sequence
    if numbered != old, old.sequence < ManifestLimits.sequence.upperBound {
      numbered.sequence += 1
    }
    return numbered
  }
}
