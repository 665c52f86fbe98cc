import StrictJSON
import TensorCore

/// What a sweep has removed, or would remove.
public struct SweepReport: Sendable {
  public enum Reason: String, Sendable {
    /// A blob that no manifest there names.
    case unusedBlob = "unused-blob"
    /// What a killed command has left.
    case leftover
  }

  public struct Removal: Sendable {
    public let path: String
    public let reason: Reason
    public let byteCount: Int
  }

  public let isDryRun: Bool
  public internal(set) var removals: [Removal] = []
  /// Directories that a living command is writing.
  public internal(set) var busy: [String] = []
  /// What was left alone, and why.
  public internal(set) var leftAlone: [(path: String, reason: String)] = []
  /// Old bundles that were brought back from where a killed command had put them.
  public internal(set) var restored: [String] = []
  /// Bundles and node directories that were looked at.
  public internal(set) var bundles: [String] = []
  /// Bytes that this frees on the disk.
  public internal(set) var freedByteCount = 0

  public var json: JSONValue {
    [
      "schema": "shardtool.gc/1", "dry_run": .bool(isDryRun),
      "bundles": .array(bundles.map { .string($0) }),
      "removed": .array(
        removals.map {
          [
            "path": .string($0.path), "reason": .string($0.reason.rawValue),
            "bytes": JSONValue($0.byteCount),
          ]
        }),
      "busy": .array(busy.map { .string($0) }),
      "left_alone": .array(
        leftAlone.map { ["path": .string($0.path), "reason": .string($0.reason)] }),
      "restored": .array(restored.map { .string($0) }),
      "freed_bytes": JSONValue(freedByteCount),
    ]
  }

  /// One line for each thing, and one sentence.
  public var text: String {
    var text = ""
    for removal in removals {
      let what = removal.reason == .leftover ? "leftover" : "unused blob"
      text +=
        "\(isDryRun ? "would remove" : "removed") \(what) \(removal.path), "
        + "\(Quantity.describe(bytes: removal.byteCount))\n"
    }
    for path in restored { text += "brought \(path) back\n" }
    for path in busy { text += "left \(path) alone: another command is writing there\n" }
    for (path, reason) in leftAlone { text += "left \(path) alone: \(reason)\n" }
    let verb = isDryRun ? "would free" : "freed"
    let place = bundles.count == 1 ? "1 directory" : "\(bundles.count) directories"
    return text + "looked at \(place) of bundles and nodes, "
      + (removals.isEmpty
        ? "nothing to remove\n" : "\(verb) \(Quantity.describe(bytes: freedByteCount))\n")
  }
}
