import ModelArchitectures
import Quantization
import ShardPlanning
import TensorCore
import TensorKernels

/// One run of `Packager.pack` inside its staging directory.
struct PackJob {
  let quantized: QuantizedCheckpoint
  let contents: PackContents
  let staged: StagedDirectory
  let pool: WorkerPool
  let meter: ProgressMeter
  let release: BundleRelease
  /// The bundle from which the number of this one follows.
  let predecessor: Manifest?

  private var blobDirectory: String { "\(staged.staging)/\(BundleFiles.blobs)" }

  /// What `makeBlobs` made.
  struct Result {
    let manifest: Manifest
    let kept: Set<Digest>
    /// Entropy bounds of all tensors in bytes, by scheme.
    let bounds: [String: Int]
  }

  /// Keeps or makes every blob and describes them.
  func makeBlobs(plan: ShardPlan) throws -> Result {
    let reuse = BlobReuse(
      directory: staged.target, chunkByteCount: contents.chunkByteCount, quantized: quantized,
      pool: pool)
    var wanted = contents.components.indices.map(contents.blob)
    wanted.append(contents.fileBlob)
    var packed: [PackedBlob?] = Array(repeating: nil, count: wanted.count)
    var kept: Set<Digest> = []
    for index in wanted.indices {
      let found =
        contents.components.indices.contains(index)
        ? reuse?.blob(of: contents.components[index].component, wanted[index], meter: meter)
        : reuse?.blob(ofFiles: wanted[index], meter: meter)
      guard let (blob, path) = found else { continue }
      try Directory.link(
        Directory.resolved(path) ?? path,
        to: "\(staged.staging)/\(BundleFiles.blob(blob.reference.digest))")
      packed[index] = blob
      kept.insert(blob.reference.digest)
    }
    let missing = wanted.indices.filter { packed[$0] == nil }
    let packing = BlobPacking(
      quantized: quantized, directory: blobDirectory, pool: pool, meter: meter)
    let made = try packing.pack(missing.map { wanted[$0] } + [contents.planBlob])
    for (index, blob) in zip(missing, made) { packed[index] = blob }
    let blobs = packed.compactMap { $0 } + made.suffix(1)
    return Result(manifest: manifest(blobs), kept: kept, bounds: bounds(blobs))
  }

  /// - Parameter blobs: of the components in order, and more.
  private func bounds(_ blobs: [PackedBlob]) -> [String: Int] {
    var sums: [String: Int] = [:]
    for (entry, blob) in zip(contents.components, blobs) {
      let schemes = entry.tensors.flatMap { tensor in tensor.planes.map { _ in tensor.scheme.name }
      }
      for (scheme, bound) in zip(schemes, blob.bounds) { sums[scheme, default: 0] += bound }
    }
    return sums
  }

  /// - Parameter blobs: of the components in order, of the files, of the plan.
  private func manifest(_ blobs: [PackedBlob]) -> Manifest {
    let components = zip(contents.components, blobs).map { entry, blob in
      var rest = blob.chunks[...]
      return ManifestComponent(
        component: entry.component, blob: blob.reference,
        tensors: entry.tensors.map { tensor in
          let planes = Array(rest.prefix(tensor.planes.count))
          rest = rest.dropFirst(planes.count)
          return ManifestTensor(stored: tensor, planes: planes)
        }, shared: entry.shared)
    }
    let files = Self.fileSet(contents.files.map(\.name), blobs[components.count])
    let plan = Self.fileSet([BundleFiles.plan], blobs[components.count + 1])
    let modelID = Manifest.modelID(
      chunkByteCount: contents.chunkByteCount, components: components, files: files)
    let manifest = Manifest(
      name: contents.name, sequence: 1, provenance: contents.provenance, modelID: modelID,
      bundleID: Manifest.bundleID(modelID: modelID, plan: plan, nodes: contents.nodes),
      compressor: ChunkRule.compressor, chunkByteCount: contents.chunkByteCount,
      components: components, modelFiles: files, planFiles: plan, nodes: contents.nodes)
    return release.numbered(manifest, after: predecessor)
  }

  private static func fileSet(_ names: [String], _ blob: PackedBlob) -> ManifestFileSet {
    ManifestFileSet(
      blob: blob.reference,
      files: zip(names, blob.chunks).map { ManifestFile(name: $0, chunks: $1) })
  }

  /// Writes the manifest and the nodes' directories and waits until all is on the disk.
  func write(_ manifest: Manifest) throws {
    let bytes = manifest.fileBytes
    guard bytes.count <= ManifestLimits.manifestByteCount else {
      throw PackageFault(
        "tooLarge",
        "the manifest would have \(bytes.count) bytes, more than the "
          + "\(ManifestLimits.manifestByteCount) it may have; quantize to fewer bits")
    }
    let root = staged.staging
    try Self.write(bytes, to: "\(root)/\(BundleFiles.manifest)")
    var shared = [BundleFiles.manifest]
    if let key = release.key {
      let envelope = try SignatureEnvelope(signing: bytes, with: key)
      try Self.write(
        envelope.fileBytes(manifest: bytes), to: "\(root)/\(BundleFiles.signature)")
      shared.append(BundleFiles.signature)
    }
    for node in manifest.nodes {
      let directory = "\(root)/\(BundleFiles.nodes)/\(node.name)"
      try Directory.create("\(directory)/\(BundleFiles.blobs)")
      for name in shared { try Directory.link("\(root)/\(name)", to: "\(directory)/\(name)") }
      let descriptor = NodeDescriptor(node: node.name, bundleID: manifest.bundleID)
      try Self.write(descriptor.fileBytes, to: "\(directory)/\(BundleFiles.nodeDescriptor)")
      for blob in manifest.blobs(of: node) {
        let path = BundleFiles.blob(blob.digest)
        try Directory.link("\(root)/\(path)", to: "\(directory)/\(path)")
      }
      for name in [BundleFiles.blobs, "blobs", "."] {
        try Directory.synchronize("\(directory)/\(name)")
      }
    }
    for name in [BundleFiles.blobs, "blobs", BundleFiles.nodes, "."] {
      try Directory.synchronize("\(root)/\(name)")
    }
  }

  private static func write(_ bytes: [UInt8], to path: String) throws(FileFault) {
    let file = try OutputFile(path: path)
    try file.write(bytes, at: 0)
    try file.synchronize()
  }
}
