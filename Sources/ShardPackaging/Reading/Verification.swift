import ModelArchitectures
import StrictJSON
import TensorCore
import TensorKernels

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What a complete verification has looked at.
public struct VerificationReport: Sendable, Equatable {
  public let directory: String
  public let bundleID: String
  /// The nodes whose components were checked.
  public let nodes: [String]
  public internal(set) var blobCount = 0
  public internal(set) var chunkCount = 0
  /// Bytes read from blobs.
  public internal(set) var storedByteCount = 0
  /// Bytes after decompression.
  public internal(set) var rawByteCount = 0
  /// Bytes that went through SHA-256: of compressed chunks the stored and the raw ones.
  public internal(set) var hashedByteCount = 0
  /// Node directories checked beside the bundle's own blobs.
  public internal(set) var nodeDirectories: [String] = []
  /// Who signed the bundle, trusted or not.
  public internal(set) var signers: [String] = []
  /// Whom it was proved to come from.
  public let trustedKeys: [String]
  /// What speaks against it where the policy is to warn.
  public internal(set) var doubts: [String] = []
  public let name: String
  public let sequence: Int

  fileprivate init(_ package: VerifiedPackage) {
    directory = package.directory
    bundleID = package.bundleID
    nodes = package.isWholeBundle ? package.nodeNames : [package.node]
    name = package.manifest.name
    sequence = package.manifest.sequence
    if case .trusted(let keys) = package.trust {
      trustedKeys = keys.map(\.id.description)
    } else {
      trustedKeys = []
    }
    doubts = package.trust.doubts
  }

  public var json: JSONValue {
    [
      "schema": "shardtool.verify/1", "directory": .string(directory),
      "bundle_id": .string(bundleID), "nodes": .array(nodes.map { .string($0) }),
      "blobs": JSONValue(blobCount), "chunks": JSONValue(chunkCount),
      "stored_bytes": JSONValue(storedByteCount), "raw_bytes": JSONValue(rawByteCount),
      "name": .string(name), "sequence": JSONValue(sequence),
      "signers": .array(signers.map { .string($0) }),
      "trusted_keys": .array(trustedKeys.map { .string($0) }),
      "doubts": .array(doubts.map { .string($0) }),
    ]
  }

  /// One sentence.
  public var text: String {
    let whose = nodes.count == 1 ? "node \(nodes[0])" : "\(nodes.count) nodes"
    return "\(directory) is sound: \(whose), \(Quantity.count(blobCount, "blob")), "
      + "\(Quantity.count(chunkCount, "chunk")), "
      + "\(Quantity.describe(bytes: storedByteCount)), every digest matches"
      + signatureText
  }

  private var signatureText: String {
    if let key = trustedKeys.first { return "; number \(sequence) of \(name), signed by \(key)" }
    guard let signer = signers.first else { return "" }
    return doubts.isEmpty
      ? "; signed by \(signer), which was not checked: give --trust" : "; not trusted"
  }
}

extension VerifiedPackage {
  /// Reads every byte in scope and checks every digest, stored and raw.
  ///
  /// Of a whole bundle this takes in the node directories: their files are links to the
  /// bundle's own or, where copied, are read as well.
  ///
  /// Throws: what is wrong with the first bad chunk: `PackageFault` names blob, tensor, offset.
  public func verifyAll(
    pool: WorkerPool? = nil, progress: ProgressHandler? = nil
  ) throws -> VerificationReport {
    var report = VerificationReport(self)
    var jobs = [(store: store, places: places(of: manifest.blobs(of: components)))]
    report.signers = try signers(in: directory)
    for (directory, components) in try nodeDirectories(&report) {
      let nodeStore = BlobStore(directory: directory, requirement: requirement)
      let blobs = manifest.blobs(of: components).filter { !nodeStore.isSameFile($0, in: store) }
      jobs.append((nodeStore, places(of: blobs)))
      report.nodeDirectories.append(directory)
    }
    let total = jobs.flatMap(\.places).reduce(0) { $0 + $1.chunk.storedByteCount }
    let meter = ProgressMeter(phase: "verify", total: total, handler: progress)
    for (store, places) in jobs {
      try store.read(places, pool: pool) { index, _ in
        meter.add(places[index].chunk.storedByteCount)
      }
      let blobs = Set(places.map(\.blob))
      for blob in blobs { store.close(blob) }
      report.blobCount += blobs.count
      report.chunkCount += places.count
      for place in places {
        report.storedByteCount += place.chunk.storedByteCount
        report.rawByteCount += place.chunk.rawByteCount
        report.hashedByteCount += place.chunk.hashedByteCount
      }
    }
    return report
  }

  /// Who signed the manifest in a directory; whether they did is the business of `TrustCheck`.
  private func signers(in directory: String) throws -> [String] {
    do {
      return try SignatureEnvelope.read(in: directory, manifest: manifest.fileBytes)?
        .signatures.map(\.keyID.description) ?? []
    } catch  where requirement.policy == .warn { return [] }
  }

  /// All chunks of these blobs, in the order of the manifest.
  private func places(of blobs: [BlobReference]) -> [ChunkPlace] {
    let wanted = Set(blobs)
    var places: [ChunkPlace] = []
    for set in [manifest.modelFiles, manifest.planFiles] where wanted.contains(set.blob) {
      places += set.places
    }
    for entry in manifest.components where wanted.contains(entry.blob) {
      places += entry.places()
    }
    return places
  }

  /// Directories below `nodes/` that belong to this package, with their manifest and node.json
  /// checked.
  private func nodeDirectories(
    _ report: inout VerificationReport
  ) throws -> [(path: String, components: [Component])] {
    let isNodeDirectory = Directory.isFile("\(directory)/\(BundleFiles.nodeDescriptor)")
    guard !isNodeDirectory else { return [] }
    var found: [(path: String, components: [Component])] = []
    for entry in manifest.nodes where isWholeBundle || entry.name == node {
      let path = "\(directory)/\(BundleFiles.nodes)/\(entry.name)"
      guard Directory.exists(path) else { continue }
      let opening = try requirement.guarding {
        try PackageOpening(directory: path, node: nil, requirement: requirement)
      }
      try requirement.guarding {
        guard opening.manifest == manifest, opening.node == entry.name, !opening.isWholeBundle
        else {
          throw PackageFault(
            "mixedBundles",
            "\(path) is not the part of node \(entry.name) of this bundle; pack the bundle anew",
            context: ["node": entry.name, "file": path])
        }
      }
      _ = try signers(in: path)
      report.doubts += opening.trust.doubts
      found.append((path, entry.components))
    }
    return found
  }
}

extension BlobStore {
  /// Whether a blob is one and the same file here and in another store.
  func isSameFile(_ blob: BlobReference, in other: BlobStore) -> Bool {
    var mine = stat()
    var theirs = stat()
    guard unsafe stat(path(blob), &mine) == 0, unsafe stat(other.path(blob), &theirs) == 0 else {
      return false
    }
    return mine.st_ino == theirs.st_ino && mine.st_dev == theirs.st_dev
  }
}
