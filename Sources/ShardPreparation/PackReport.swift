import ModelArchitectures
import ShardPackaging
import StrictJSON
import TensorCore

/// What a bundle holds, in bytes before and after compression.
public struct PackReport: Sendable {
  /// A blob of the bundle.
  public struct Part: Sendable {
    /// `embedding`, `block-0` … `head`, `files`, `plan`.
    public let name: String
    public let rawByteCount: Int
    public let storedByteCount: Int
    /// Whether it was kept from the bundle that stood there.
    public let isKept: Bool
  }

  /// All tensors of one scheme.
  public struct SchemeTotal: Sendable {
    public let scheme: String
    public let tensorCount: Int
    public var elementCount = 0
    public var rawByteCount = 0
    public var storedByteCount = 0
    /// What no code for single bytes can fall below; nil where the bundle was only looked at.
    public let entropyByteCount: Int?

    /// Stored bytes beside that bound.
    public var storedPerEntropy: Double? {
      entropyByteCount.map { Double(storedByteCount) / Double(max(1, $0)) }
    }
  }

  /// What a node's directory holds.
  public struct NodeTotal: Sendable {
    public let name: String
    public let components: [Component]
    public let blobCount: Int
    /// Bytes to be copied to the node, its manifest included.
    public let storedByteCount: Int
    /// Bytes of weights after decompression.
    public let rawByteCount: Int
  }

  public let directory: String
  public let manifest: Manifest
  public let parts: [Part]
  public let schemes: [SchemeTotal]
  public let nodes: [NodeTotal]
  /// Identities of the keys whose signatures lie beside the manifest, trusted or not.
  public let signers: [String]
  /// Bytes of blobs that were written anew; nil where the bundle was only looked at.
  public let writtenByteCount: Int?

  /// - Parameters:
  ///   - summary: of the run that packed it; nil for a bundle found.
  ///   - signers: of a bundle found.
  public init(
    _ manifest: Manifest, directory: String, summary: PackSummary? = nil, signers: [String] = []
  ) {
    self.directory = directory
    self.manifest = manifest
    let kept = summary?.keptBlobs ?? []
    let components = manifest.components.map { entry in
      Part(
        name: entry.component.name, rawByteCount: entry.rawByteCount,
        storedByteCount: entry.blob.byteCount, isKept: kept.contains(entry.blob.digest))
    }
    let files = [("files", manifest.modelFiles), ("plan", manifest.planFiles)].map { name, set in
      Part(
        name: name, rawByteCount: set.files.reduce(0) { $0 + $1.byteCount },
        storedByteCount: set.blob.byteCount, isKept: kept.contains(set.blob.digest))
    }
    parts = components + files
    schemes = Self.schemes(manifest, bounds: summary?.entropyBounds)
    nodes = Self.nodes(manifest)
    writtenByteCount = summary?.writtenByteCount
    self.signers = summary?.signer.map { [$0.description] } ?? signers
  }

  public var rawByteCount: Int { parts.reduce(0) { $0 + $1.rawByteCount } }
  public var storedByteCount: Int { manifest.blobs.reduce(0) { $0 + $1.byteCount } }
  public var elementCount: Int { schemes.reduce(0) { $0 + $1.elementCount } }

  private static func schemes(_ manifest: Manifest, bounds: [String: Int]?) -> [SchemeTotal] {
    let tensors = manifest.components.flatMap(\.tensors)
    let names = Set(tensors.map(\.stored.scheme.name)).sorted()
    return names.map { name in
      let own = tensors.filter { $0.stored.scheme.name == name }
      var total = SchemeTotal(
        scheme: name, tensorCount: own.count, entropyByteCount: bounds?[name])
      for tensor in own {
        total.elementCount += tensor.stored.elementCount
        total.rawByteCount += tensor.stored.byteCount
        total.storedByteCount += tensor.storedByteCount
      }
      return total
    }
  }

  private static func nodes(_ manifest: Manifest) -> [NodeTotal] {
    let manifestByteCount = manifest.fileBytes.count
    return manifest.nodes.map { node in
      let blobs = manifest.blobs(of: node)
      let raw = manifest.components.filter { blobs.contains($0.blob) }
      return NodeTotal(
        name: node.name, components: node.components, blobCount: blobs.count,
        storedByteCount: blobs.reduce(manifestByteCount) { $0 + $1.byteCount },
        rawByteCount: raw.reduce(0) { $0 + $1.rawByteCount })
    }
  }

  public var json: JSONValue {
    var object: JSONObject = [
      "schema": "shardtool.pack/1", "directory": .string(directory),
      "bundle_id": .string(manifest.bundleID.description),
      "model_id": .string(manifest.modelID.description),
      "compressor": .string(manifest.compressor),
      "name": .string(manifest.name), "sequence": JSONValue(manifest.sequence),
      "signers": .array(signers.map { .string($0) }),
      "raw_bytes": JSONValue(rawByteCount), "stored_bytes": JSONValue(storedByteCount),
      "blobs": .array(
        parts.map { part in
          [
            "name": .string(part.name), "raw_bytes": JSONValue(part.rawByteCount),
            "stored_bytes": JSONValue(part.storedByteCount), "kept": .bool(part.isKept),
          ]
        }),
      "schemes": .array(
        schemes.map { total in
          var object: JSONObject = [
            "scheme": .string(total.scheme), "tensors": JSONValue(total.tensorCount),
            "weights": JSONValue(total.elementCount),
            "raw_bytes": JSONValue(total.rawByteCount),
            "stored_bytes": JSONValue(total.storedByteCount),
          ]
          if let bound = total.entropyByteCount { object["entropy_bytes"] = JSONValue(bound) }
          return .object(object)
        }),
      "nodes": .array(
        nodes.map { node in
          [
            "name": .string(node.name),
            "components": .array(node.components.map { .string($0.name) }),
            "blobs": JSONValue(node.blobCount), "raw_bytes": JSONValue(node.rawByteCount),
            "stored_bytes": JSONValue(node.storedByteCount),
          ]
        }),
    ]
    if let writtenByteCount { object["written_bytes"] = JSONValue(writtenByteCount) }
    return .object(object)
  }
}
