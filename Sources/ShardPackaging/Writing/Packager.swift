import ModelArchitectures
import Quantization
import ShardPlanning
import StrictJSON
import TensorCore
import TensorKernels

/// Makes bundles.
public enum Packager {
  /// Raw bytes of a chunk: half the format's limit, so that reading one takes little memory.
  public static let defaultChunkByteCount = 2 << 20

  /// Packs a quantized checkpoint for the nodes of a plan.
  ///
  /// The bundle appears whole or not at all, in the place of an older one where there is one,
  /// whose unchanged blobs are kept. Its bytes depend on the checkpoint, the plan and the
  /// compressor's version alone.
  ///
  /// - Parameters:
  ///   - directory: where the bundle is to be; new, empty or a bundle.
  ///   - chunkByteCount: raw bytes of a chunk, at most 4 MiB.
  ///   - release: what the bundle is called, its number, and who signs it.
  /// - Throws: `PackageFault`, `ArchitectureFault` or `FileFault`; nothing is left behind.
  @discardableResult
  public static func pack(
    _ quantized: QuantizedCheckpoint, plan: ShardPlan, to directory: String,
    threads: Int = WorkerPool.defaultThreadCount, chunkByteCount: Int = defaultChunkByteCount,
    release: BundleRelease = BundleRelease(), progress: ProgressHandler? = nil
  ) throws -> PackSummary {
    precondition(
      (1...ManifestLimits.chunkByteCount).contains(chunkByteCount),
      "a chunk of \(chunkByteCount) bytes")
    let contents = try PackContents(
      quantized, plan: plan, chunkByteCount: chunkByteCount, release: release)
    let staged = try StagedDirectory(target: directory, kind: .bundle)
    do {
      let job = PackJob(
        quantized: quantized, contents: contents, staged: staged,
        pool: WorkerPool(threads: threads),
        meter: ProgressMeter(phase: "pack", total: contents.byteCount, handler: progress),
        release: release, predecessor: try release.predecessor(in: staged.target))
      let made = try job.makeBlobs(plan: plan)
      try job.write(made.manifest)
      try staged.commit()
      return PackSummary(
        manifest: made.manifest, directory: staged.target, keptBlobs: made.kept,
        signer: release.key?.publicKey.id, entropyBounds: made.bounds)
    } catch {
      staged.abandon()
      throw error
    }
  }
}

/// What was packed.
public struct PackSummary: Sendable {
  public let manifest: Manifest
  /// Where the bundle is.
  public let directory: String
  /// Blobs that were kept from the bundle that stood there.
  public let keptBlobs: Set<Digest>
  /// The key that signed the bundle.
  public let signer: Digest?
  /// Order-0 entropy of the weights as they are compressed, in bytes, by scheme
  /// (docs/format.md §6).
  public let entropyBounds: [String: Int]

  /// Bytes of blobs that were written anew.
  public var writtenByteCount: Int {
    manifest.blobs.reduce(0) { $0 + (keptBlobs.contains($1.digest) ? 0 : $1.byteCount) }
  }
}

/// What goes into a bundle, checked against architecture and plan before any byte is written.
struct PackContents {
  let components: [(component: Component, tensors: [StoredTensor], shared: [String])]
  let files: [(name: String, bytes: [UInt8])]
  let plan: [UInt8]
  let nodes: [ManifestNode]
  let chunkByteCount: Int
  let name: String
  let provenance: Provenance

  init(
    _ quantized: QuantizedCheckpoint, plan: ShardPlan, chunkByteCount: Int, release: BundleRelease
  ) throws {
    self.chunkByteCount = chunkByteCount
    name = try release.name(for: plan.facts)
    provenance = try Provenance(of: quantized)
    let architecture = try ArchitectureRegistry.architecture(for: quantized.configuration)
    try Self.check(plan, against: architecture)
    let memory = try MemoryModel(architecture: architecture, tensors: quantized.tensors)
    var owners: Set<String> = []
    components = architecture.components.map { component in
      let stored = memory.storedTensors(of: [component])
      let own = stored.filter { owners.insert($0.name).inserted }
      let ownNames = Set(own.map(\.name))
      return (component, own, stored.map(\.name).filter { !ownNames.contains($0) })
    }
    if let extra = quantized.tensors.keys.filter({ !owners.contains($0) }).min() {
      throw PackageFault(
        "extraTensor",
        "\(quantized.directory) holds the tensor \(extra), which the model does not use; "
          + "quantize the checkpoint again", context: ["tensor": extra])
    }
    for tensor in components.flatMap(\.tensors) { try Self.check(tensor) }
    files = try ([BundleFiles.configuration] + quantized.tokenizerFiles).sorted().map { name in
      guard ManifestLimits.isPlainName(name) else {
        throw PackageFault("fileName", "\(quantized.directory)/\(name) has an unusable name")
      }
      let bytes = try InputFile.contents(
        of: "\(quantized.directory)/\(name)", limit: ManifestLimits.fileByteCount)
      return (name, bytes)
    }
    self.plan = Array(plan.json.serialized(.canonical).utf8)
    nodes = plan.nodes.map { ManifestNode($0) }
  }

  /// The plan was made for a model of this shape.
  private static func check(
    _ plan: ShardPlan, against architecture: any ModelArchitecture
  ) throws(PackageFault) {
    let dimensions = architecture.dimensions
    let facts = plan.facts
    let pairs = [
      ("layers", facts.layerCount, dimensions.layerCount),
      ("hidden size", facts.hiddenSize, dimensions.hiddenSize),
      ("vocabulary size", facts.vocabularySize, dimensions.vocabularySize),
    ]
    for (name, planned, found) in pairs where planned != found {
      throw PackageFault(
        "otherModel",
        "the plan was made for a model with \(name) \(planned), the checkpoint has \(found); "
          + "plan again for this checkpoint")
    }
  }

  private static func check(_ tensor: StoredTensor) throws(PackageFault) {
    guard ManifestLimits.isTensorName(tensor.name) else {
      throw PackageFault("tensorName", "a tensor has an unusable name; rename it in the checkpoint")
    }
    for plane in tensor.planes where plane.bytesPerRow > ManifestLimits.chunkByteCount {
      throw PackageFault(
        "rowTooLong",
        "a row of tensor \(tensor.name), plane \(plane.name), has \(plane.bytesPerRow) bytes; "
          + "at most \(ManifestLimits.chunkByteCount) can be packed",
        context: ["tensor": tensor.name])
    }
  }

  func blob(_ index: Int) -> PackBlob {
    PackBlob(tensors: components[index].tensors, chunkByteCount: chunkByteCount)
  }

  var fileBlob: PackBlob { PackBlob(files: files, chunkByteCount: chunkByteCount) }

  var planBlob: PackBlob {
    PackBlob(files: [(BundleFiles.plan, plan)], chunkByteCount: chunkByteCount)
  }

  var byteCount: Int {
    components.indices.reduce(fileBlob.byteCount + planBlob.byteCount) {
      $0 + blob($1).byteCount
    }
  }
}
