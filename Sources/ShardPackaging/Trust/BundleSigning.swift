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
    // Whatever links to the directory, it is this one that is locked and written.
    guard let real = Directory.resolved(directory) else { throw changed(directory) }
    let lock = try lock(real, for: directory)
    let directories = [directory] + report.nodeDirectories
    try withExtendedLifetime(lock) {
      let manifest = try InputFile.contents(
        of: "\(real)/\(BundleFiles.manifest)", limit: ManifestLimits.manifestByteCount)
      guard manifest == package.manifest.fileBytes else { throw changed(directory) }
      let present = try SignatureEnvelope.read(in: real, manifest: manifest)
      let envelope = try SignatureEnvelope(signing: manifest, with: key, beside: present)
      let bytes = envelope.fileBytes(manifest: manifest)
      for place in directories.reversed() {
        let place = real + place.dropFirst(directory.count)
        try Directory.writeAtomically(bytes, to: "\(place)/\(BundleFiles.signature)")
      }
    }
    return (package, directories)
  }

  /// Keeps pack, gc and other signers away from what is about to be signed.
  private static func lock(_ real: String, for directory: String) throws -> DirectoryLock {
    switch try DirectoryLock.take(real) {
    case .locked(let lock): return lock
    case .gone: throw changed(directory)
    case .busy:
      throw PackageFault(
        "busy", "another command is writing \(directory); sign it when that is done",
        exitStatus: .tryAgain, context: ["file": directory])
    }
  }

  private static func changed(_ directory: String) -> PackageFault {
    PackageFault(
      "changed", "\(directory)/\(BundleFiles.manifest) was changed meanwhile; sign it again",
      exitStatus: .tryAgain, context: ["file": directory])
  }
}
