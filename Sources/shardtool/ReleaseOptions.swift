import ArgumentParser
import CommandLineSupport
import ShardPackaging

/// As what a bundle goes out, for `pack` and `prepare`.
struct ReleaseOptions: ParsableArguments {
  @Option(
    name: .customLong("sign"),
    help: ArgumentHelp(
      "Sign the bundle with this private key, as shardtool keygen makes them.",
      valueName: "private-key"),
    completion: .file())
  var key: String?

  @Option(
    name: .customLong("bundle-name"),
    help: ArgumentHelp(
      "What the model is called; by default family and shape, such as llama-32x4096.",
      discussion: "With the key, it is the line in which nodes refuse lower sequence numbers.",
      valueName: "name"))
  var name: String?

  @Option(
    help: ArgumentHelp(
      "The bundle's number; by default one more than that of the signed bundle it replaces, or 1.",
      valueName: "n"))
  var sequence: Int?

  func validate() throws {
    if let sequence, !ManifestLimits.sequence.contains(sequence) {
      throw ValidationError("--sequence takes a number from 1 on, not \(sequence).")
    }
    if let name, !ManifestLimits.isPlainName(name) {
      throw ValidationError(
        "--bundle-name takes 1 to 64 of A-Z a-z 0-9 . _ - that do not begin with . or -.")
    }
  }

  /// Throws: where the key cannot be read.
  func read(_ common: CommonOptions) throws -> BundleRelease {
    let key = try key.map { path in
      let key = try SigningKey(path: path)
      if KeyPair.isOpenToOthers(path) {
        common.note("warning: others can read \(path), and sign with it: chmod 600 \(path)")
      }
      return key
    }
    return BundleRelease(name: name, sequence: sequence, key: key)
  }
}
