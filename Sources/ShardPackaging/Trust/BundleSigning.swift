import TensorCore
import TensorKernels

/// Signs bundles that exist.
public enum BundleSigning {
  /// Checks every byte of a bundle or node directory, then puts a key's signature beside its
  /// manifest, and beside those of the node directories in it.
  ///
  /// Other keys' signatures of the same manifest stay. Where the command is killed, some node
  /// directories lack the signature, and it can be run again.
  ///
  /// - Returns: the bundle, and the directories that were signed.
  @discardableResult
  public static func sign(
    _ directory: String, with key: SigningKey, pool: WorkerPool? = nil,
    progress: ProgressHandler? = nil
  ) throws -> (package: VerifiedPackage, directories: [String]) {
    let package = try VerifiedPackage.open(directory: directory)
    let report = try package.verifyAll(pool: pool, progress: progress)
    let manifest = try InputFile.contents(
      of: "\(directory)/\(BundleFiles.manifest)", limit: ManifestLimits.manifestByteCount)
    guard manifest == package.manifest.fileBytes else {
      throw PackageFault(
        "changed", "\(directory)/\(BundleFiles.manifest) was changed meanwhile; sign it again",
        exitStatus: .tryAgain, context: ["file": directory])
    }
    let present = try SignatureEnvelope.read(in: directory, manifest: manifest)
    let envelope = try SignatureEnvelope(signing: manifest, with: key, beside: present)
    let bytes = envelope.fileBytes(manifest: manifest)
    let directories = [directory] + report.nodeDirectories
    for place in directories.reversed() {
      try Directory.writeAtomically(bytes, to: "\(place)/\(BundleFiles.signature)")
    }
    return (package, directories)
  }
}
