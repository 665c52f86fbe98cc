/// The version of these programs: what `--version` prints and bundles tell of their origin.
public enum ToolVersion {
  public static let current = "0.1.0"
  /// Program and version, as provenance has it.
  public static let name = "shardtool \(current)"
}
