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

  /// The manifest with its number: the one asked for, else what follows from its predecessor.
  func numbered(_ manifest: Manifest, after old: Manifest?) -> Manifest {
    var numbered = manifest
    if let sequence {
      numbered.sequence = sequence
      return numbered
    }
    guard let old, old.name == manifest.name else { return numbered }
    // The same bundle again is the same number again: the same input makes the same bytes.
    numbered.sequence = old.sequence
    if numbered != old, old.sequence < ManifestLimits.sequence.upperBound {
      numbered.sequence += 1
    }
    return numbered
  }

  /// The bundle that stands where the new one will be, where the new one's number follows from it.
  ///
  /// Throws: `PackageFault` where both are signed, and the old one not rightly by the same key:
  /// whoever could change its number would choose the one that is signed next.
  func predecessor(in directory: String) throws(PackageFault) -> Manifest? {
    guard sequence == nil else { return nil }
    let isSigned = Directory.isFile("\(directory)/\(BundleFiles.signature)")
    if let key, isSigned { return try Self.manifest(in: directory, signedBy: key.publicKey) }
    guard let old = try? Self.manifest(in: directory) else { return nil }
    return key != nil || isSigned || old.sequence > 1 ? old : nil
  }

  private static func manifest(in directory: String) throws -> Manifest {
    let path = "\(directory)/\(BundleFiles.manifest)"
    return try Manifest(
      file: try InputFile.contents(of: path, limit: ManifestLimits.manifestByteCount), path: path)
  }

  private static func manifest(
    in directory: String, signedBy key: PublicKey
  ) throws(PackageFault) -> Manifest {
    let reason: String
    do {
      let manifest = try manifest(in: directory)
      let envelope = try SignatureEnvelope.read(in: directory, manifest: manifest.fileBytes)
      let message = SignatureEnvelope.preAuthentication(of: manifest.fileBytes)
      let own = envelope?.signatures.first { $0.keyID == key.id }
      if let own, key.isSignature(own.bytes, of: message) { return manifest }
      reason = "\(BundleFiles.signature) there has no right signature of the key \(key.id)"
    } catch {
      reason = (error as? any Fault)?.message ?? "\(error)"
    }
    throw PackageFault(
      "sequence",
      "cannot tell the number that follows the signed bundle in \(directory): \(reason); give "
        + "--sequence N", context: ["file": "\(directory)/\(BundleFiles.signature)"])
  }
}
