import StrictJSON
import TensorCore
import TensorKernels

/// Writes bundles as OCI image layouts, which registries and their tools carry: one image for each
/// node, one blob for each file, each file once.
public enum ImageExport {
  /// What was written.
  public struct Summary: Sendable {
    public let directory: String
    public fileprivate(set) var images: [(node: String, digest: Digest, byteCount: Int)] = []
    /// Blobs of the layout, those that several images share counted once.
    public fileprivate(set) var blobCount = 0
    public fileprivate(set) var byteCount = 0

    public var json: JSONValue {
      [
        "schema": "shardtool.export/1", "format": "oci", "directory": .string(directory),
        "images": .array(
          images.map { image in
            [
              "node": .string(image.node), "digest": .string(image.digest.description),
              "bytes": JSONValue(image.byteCount),
            ]
          }), "blobs": JSONValue(blobCount), "bytes": JSONValue(byteCount),
      ]
    }
  }

  /// Verifies every byte of a bundle, or of one node's directory, and writes the layout beside it.
  ///
  /// Blobs are links to the bundle's own where the file system has links: nothing is copied. The
  /// same bundle gives the same bytes, and so the same digests.
  ///
  /// - Parameters:
  ///   - node: which node of a bundle; nil for all.
  ///   - target: where the layout will be; new or empty.
  public static func export(
    _ directory: String, node: String?, to target: String, pool: WorkerPool? = nil,
    progress: ProgressHandler? = nil
  ) throws -> Summary {
    let package = try VerifiedPackage.open(directory: directory, node: node)
    _ = try package.verifyAll(pool: pool, progress: progress)
    let staged = try FreshDirectory(target: target, entries: ImageFiles.entries)
    do {
      let summary = try write(package, staged)
      try staged.commit()
      return summary
    } catch {
      staged.abandon()
      throw error
    }
  }

  private static func write(
    _ package: VerifiedPackage, _ staged: FreshDirectory
  ) throws -> Summary {
    var writer = Writer(root: staged.staging)
    var summary = Summary(directory: staged.target)
    try Directory.create("\(staged.staging)/\(BundleFiles.blobs)")
    try writer.put(ImageFiles.emptyContent)
    let names = package.isWholeBundle ? package.nodeNames : [package.node]
    var entries: [ImageDescriptor] = []
    for entry in package.manifest.nodes where names.contains(entry.name) {
      var files: [ImageManifest.File] = []
      for (path, bytes) in try smallFiles(of: entry, in: package) {
        files.append(ImageManifest.File(path: path, blob: try writer.put(bytes)))
      }
      for blob in package.manifest.blobs(of: entry) {
        try writer.link(package.store.path(blob), blob)
        files.append(ImageManifest.File(path: BundleFiles.blob(blob.digest), blob: blob))
      }
      let image = try writer.put(ImageManifest(files: files).fileBytes)
      entries.append(
        ImageDescriptor(
          mediaType: ImageFiles.manifestType, blob: image,
          annotations: [ImageFiles.referenceName: entry.name]))
      summary.images.append(
        (entry.name, image.digest, files.reduce(0) { $0 + $1.blob.byteCount }))
    }
    try writer.finish(entries)
    summary.blobCount = writer.blobs.count
    summary.byteCount = writer.blobs.values.reduce(0, +)
    return summary
  }

  /// The files beside the blobs, by name; node.json is made where the bundle's directory of the
  /// node is gone.
  private static func smallFiles(
    of node: ManifestNode, in package: VerifiedPackage
  ) throws -> [(path: String, bytes: [UInt8])] {
    try BundleFiles.small.compactMap { name, limit in
      if name == BundleFiles.nodeDescriptor {
        return (
          name,
          NodeDescriptor(node: node.name, bundleID: package.manifest.bundleID).fileBytes
        )
      }
      let path = "\(package.directory)/\(name)"
      guard Directory.isFile(path) else { return nil }
      return (name, try InputFile.contents(of: path, limit: limit))
    }
  }

  /// Puts blobs into a layout, each once.
  private struct Writer {
    let root: String
    private(set) var blobs: [Digest: Int] = [:]

    init(root: String) { self.root = root }

    @discardableResult
    mutating func put(_ bytes: [UInt8]) throws -> BlobReference {
      let blob = BlobReference(digest: Digest(of: bytes), byteCount: bytes.count)
      guard blobs.updateValue(bytes.count, forKey: blob.digest) == nil else { return blob }
      try write(bytes, to: BundleFiles.blob(blob.digest))
      return blob
    }

    mutating func link(_ path: String, _ blob: BlobReference) throws {
      guard blobs.updateValue(blob.byteCount, forKey: blob.digest) == nil else { return }
      try Directory.link(
        Directory.resolved(path) ?? path, to: "\(root)/\(BundleFiles.blob(blob.digest))")
    }

    func finish(_ entries: [ImageDescriptor]) throws {
      let index: JSONValue = [
        "schemaVersion": 2, "mediaType": .string(ImageFiles.indexType),
        "manifests": .array(entries.map(\.json)),
      ]
      let marker: JSONValue = ["imageLayoutVersion": .string(ImageFiles.layoutVersion)]
      try write(Array(index.serialized(.canonical).utf8), to: ImageFiles.index)
      try write(Array(marker.serialized(.canonical).utf8), to: ImageFiles.marker)
      for name in [BundleFiles.blobs, "blobs", "."] {
        try Directory.synchronize("\(root)/\(name)")
      }
    }

    private func write(_ bytes: [UInt8], to name: String) throws(FileFault) {
      let file = try OutputFile(path: "\(root)/\(name)")
      try file.write(bytes, at: 0)
      try file.synchronize()
    }
  }
}
