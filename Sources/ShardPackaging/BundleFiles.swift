/// Names in a bundle directory (docs/format.md §2).
public enum BundleFiles {
  public static let manifest = "manifest.json"
  public static let nodeDescriptor = "node.json"
  public static let blobs = "blobs/sha256"
  public static let nodes = "nodes"
  public static let configuration = "config.json"
  public static let plan = "plan.json"

  /// Where a blob lies below a bundle or node directory.
  public static func blob(_ digest: Digest) -> String { "\(blobs)/\(digest.hexadecimal)" }
}
