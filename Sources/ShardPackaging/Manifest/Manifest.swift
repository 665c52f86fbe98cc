import ModelArchitectures
import Quantization

/// What a bundle holds: every component's tensors chunk by chunk, the files beside the weights,
/// and which node executes which component.
///
/// The file format is docs/format.md §3. Values of this type from `init(file:)` are consistent;
/// whether blobs match is the business of `VerifiedPackage`.
public struct Manifest: Sendable, Equatable {
  /// Name and major version; a reader refuses every other.
  public static let schema = "\(schemaName)\(version)"
  static let schemaName = "shardtool.bundle/"
  /// Raised whenever stored bytes come to mean something else: version 2 has other grids for
  /// `q4`, version 3 says whose bundle it is and what it was made from.
  static let version = 3

  /// What the model is called: with a key, the line of bundles in which sequence numbers count.
  public internal(set) var name: String
  /// Which bundle of its line this is; an older one has a lower number.
  public internal(set) var sequence: Int
  public internal(set) var provenance: Provenance

  /// Identity of the model: raw digests of all weights and files, independent of the plan, of
  /// compression and of the compressor's version.
  public internal(set) var modelID: Digest
  /// Identity of model and plan: what nodes that work together must agree on.
  public internal(set) var bundleID: Digest
  /// Which library and level made the compressed chunks.
  public internal(set) var compressor: String
  /// Raw bytes that a chunk holds at most, where a row fits in them.
  public internal(set) var chunkByteCount: Int
  /// Embedding, each block, head: the order of execution.
  public internal(set) var components: [ManifestComponent]
  /// config.json and tokenizer files.
  public internal(set) var modelFiles: ManifestFileSet
  /// plan.json.
  public internal(set) var planFiles: ManifestFileSet
  /// In the order of the plan.
  public internal(set) var nodes: [ManifestNode]
}

/// A file in `blobs/sha256`, named by the digest of its bytes.
public struct BlobReference: Sendable, Hashable {
  public let digest: Digest
  public let byteCount: Int
}

/// A component's tensors, in one blob of its own.
public struct ManifestComponent: Sendable, Equatable {
  public internal(set) var component: Component
  public internal(set) var blob: BlobReference
  /// In their order in the blob.
  public internal(set) var tensors: [ManifestTensor]
  /// Names of tensors that another component's blob holds (tied embeddings).
  public internal(set) var shared: [String]
}

/// A tensor and where its bytes are.
public struct ManifestTensor: Sendable {
  public let stored: StoredTensor
  /// One list of chunks for each plane of the scheme; chunks follow one another in the plane
  /// and in the blob.
  public let planes: [[Chunk]]
}

/// A contiguous range of one plane or file: what is compressed, hashed and sent as a unit.
public struct Chunk: Sendable, Hashable {
  public let codec: ChunkCodec
  public let rawByteCount: Int
  public let storedByteCount: Int
  /// Of the bytes in the plane or file.
  public let rawDigest: Digest
  /// Of the bytes in the blob.
  public let storedDigest: Digest

  /// Bytes that checking it hashes.
  public var hashedByteCount: Int { storedByteCount + (codec == .raw ? 0 : rawByteCount) }
}

/// Files beside the weights, in one blob.
public struct ManifestFileSet: Sendable, Equatable {
  public internal(set) var blob: BlobReference
  /// Sorted by name.
  public internal(set) var files: [ManifestFile]
}

public struct ManifestFile: Sendable, Equatable {
  public let name: String
  public let chunks: [Chunk]

  public var byteCount: Int { chunks.reduce(0) { $0 + $1.rawByteCount } }
}

/// What one machine executes.
public struct ManifestNode: Sendable, Equatable {
  public let name: String
  public let components: [Component]
}

extension ManifestTensor: Equatable {
  public static func == (left: ManifestTensor, right: ManifestTensor) -> Bool {
    left.stored.name == right.stored.name && left.stored.scheme.name == right.stored.scheme.name
      && left.stored.shape == right.stored.shape && left.planes == right.planes
  }

  /// Bytes in the blob.
  public var storedByteCount: Int {
    planes.reduce(0) { $0 + $1.reduce(0) { $0 + $1.storedByteCount } }
  }
}

extension ManifestComponent {
  /// Bytes of its own tensors before compression.
  public var rawByteCount: Int { tensors.reduce(0) { $0 + $1.stored.byteCount } }
}

extension Manifest {
  public func component(_ component: Component) -> ManifestComponent? {
    let index: Int
    switch component {
    case .embedding: index = 0
    case .block(let layer): index = layer + 1
    case .head: index = components.count - 1
    }
    guard components.indices.contains(index) else { return nil }
    return components[index].component == component ? components[index] : nil
  }

  public func node(_ name: String) -> ManifestNode? { nodes.first { $0.name == name } }

  /// The component whose blob holds a tensor of that name.
  public func owner(of tensor: String) -> ManifestComponent? {
    components.first { $0.tensors.contains { $0.stored.name == tensor } }
  }

  /// The blobs that these components need, each once: files first, then in order of execution.
  public func blobs(of wanted: some Sequence<Component>) -> [BlobReference] {
    let wanted = Set(wanted)
    let shared = Set(components.filter { wanted.contains($0.component) }.flatMap(\.shared))
    var blobs = [modelFiles.blob, planFiles.blob]
    for entry in components {
      let isShared = entry.tensors.contains { shared.contains($0.stored.name) }
      if wanted.contains(entry.component) || isShared { blobs.append(entry.blob) }
    }
    var seen: Set<Digest> = []
    return blobs.filter { seen.insert($0.digest).inserted }
  }

  /// The blobs of a node.
  public func blobs(of node: ManifestNode) -> [BlobReference] { blobs(of: node.components) }

  /// All blobs of the bundle.
  public var blobs: [BlobReference] { blobs(of: components.map(\.component)) }
}
