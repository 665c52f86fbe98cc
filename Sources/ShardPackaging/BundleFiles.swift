/// Names in a bundle directory (docs/format.md §2).
public enum BundleFiles {
  public static let manifest = "manifest.json"
  /// Signatures of the manifest, where there are any.
  public static let signature = "signature.json"
  public static let nodeDescriptor = "node.json"
  public static let blobs = "blobs/sha256"
  public static let nodes = "nodes"
  public static let configuration = "config.json"
  public static let plan = "plan.json"

  /// The files beside the blobs at the top of a bundle's or node's directory, with the most bytes
  /// that each may have: what is shipped with a node's blobs.
  public static let small: [(name: String, byteCountLimit: Int)] = [
    (manifest, ManifestLimits.manifestByteCount),
    (signature, SignatureEnvelope.maximumByteCount),
    (nodeDescriptor, ManifestLimits.nodeDescriptorByteCount),
  ]

  /// The most bytes that a file of this name may have; nil for names that are not `small`.
  static func limit(ofSmall name: String) -> Int? {
    small.first { $0.name == name }?.byteCountLimit
  }

  /// Where a blob lies below a bundle or node directory.
  public static func blob(_ digest: Digest) -> String { "\(blobs)/\(digest.hexadecimal)" }
}
