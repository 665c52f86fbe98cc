import StrictJSON
import TensorCore
import TensorKernels

/// Makes bundles of OCI image layouts.
public enum ImageImport {
  /// What was made.
  public struct Summary: Sendable {
    public let directory: String
    public let bundleID: Digest
    public let nodes: [String]
    public let blobCount: Int
    /// Bytes in blobs, all of them verified.
    public let byteCount: Int

    public var json: JSONValue {
      [
        "schema": "shardtool.import/1", "format": "oci", "directory": .string(directory),
        "bundle_id": .string(bundleID.description), "nodes": .array(nodes.map { .string($0) }),
        "blobs": JSONValue(blobCount), "bytes": JSONValue(byteCount),
      ]
    }
  }

  /// Takes a bundle or a node's directory out of a layout and verifies every byte of it.
  ///
  /// A layout with one image gives that node's directory; one with an image for each node of a
  /// bundle gives the bundle. Blobs are links to the layout's where the file system has links.
  ///
  /// - Parameters:
  ///   - node: which node's directory; nil for all that is there.
  ///   - target: where the bundle will be; new or empty.
  /// - Throws: `PackageFault` or `FileFault`; nothing is left behind.
  public static func restore(
    _ layoutDirectory: String, node: String?, to target: String, pool: WorkerPool? = nil,
    progress: ProgressHandler? = nil
  ) throws -> Summary {
    let layout = try ImageLayout(directory: layoutDirectory)
    let images = try chosen(layout, node: node)
    let isBundle = node == nil && images.count > 1
    let restoring = try Restoring(layout: layout, images: images, isBundle: isBundle)
    let staged = try FreshDirectory(target: target, entries: ImageFiles.entries)
    do {
      try restoring.fill(staged.staging)
      let report = try VerifiedPackage.open(directory: staged.staging)
        .verifyAll(pool: pool, progress: progress)
      try staged.commit()
      return Summary(
        directory: staged.target, bundleID: restoring.manifest.bundleID,
        nodes: images.map(\.node.node), blobCount: report.blobCount,
        byteCount: report.storedByteCount)
    } catch {
      staged.abandon()
      throw error
    }
  }

  private static func chosen(_ layout: ImageLayout, node: String?) throws -> [ImageLayout.Image] {
    let names = layout.images.map(\.node.node)
    let list = names.joined(separator: ", ")
    if let node {
      let images = layout.images.filter { $0.node.node == node }
      guard let image = images.first, images.allSatisfy({ $0.blob == image.blob }) else {
        throw PackageFault(
          "unknownNode",
          images.isEmpty
            ? "\(layout.directory) holds no image of node \(node); it holds \(list)"
            : "\(layout.directory) holds several images of node \(node); copy one of them into a "
              + "layout of its own",
          exitStatus: .noInput, context: ["node": node])
      }
      return [image]
    }
    guard Set(names).count == names.count,
      Set(layout.images.map { $0.manifest.file(BundleFiles.manifest)?.blob.digest }).count == 1
    else {
      throw PackageFault(
        "mixedBundles",
        "\(layout.directory) holds images of several bundles (\(list)); give --node, or copy the "
          + "nodes of one bundle into a layout of their own",
        exitStatus: .badData, context: ["file": layout.directory])
    }
    return layout.images
  }

  /// The files of some images on their way into a staging directory.
  private struct Restoring {
    let layout: ImageLayout
    let images: [ImageLayout.Image]
    let isBundle: Bool
    /// All images have it.
    let manifest: Manifest

    /// Checks that the images hold what the bundle's manifest says they hold, and nothing else.
    init(layout: ImageLayout, images: [ImageLayout.Image], isBundle: Bool) throws {
      self.layout = layout
      self.images = images
      self.isBundle = isBundle
      guard let file = images.first?.manifest.file(BundleFiles.manifest) else {
        preconditionFailure("an image without \(BundleFiles.manifest) was accepted")
      }
      manifest = try Manifest(
        file: try layout.contents(of: file.blob, limit: ManifestLimits.manifestByteCount),
        path: "\(layout.directory): \(BundleFiles.manifest)")
      for image in images { try check(image) }
      let missing = manifest.nodes.map(\.name)
        .filter { name in !images.contains { $0.node.node == name } }
      guard !isBundle || missing.isEmpty else {
        throw PackageFault(
          "imageMissing",
          "\(layout.directory) holds several nodes of a bundle, but not "
            + "\(missing.joined(separator: ", ")); copy the missing images into it, or give --node",
          exitStatus: .noInput, context: ["file": layout.directory])
      }
    }

    private func check(_ image: ImageLayout.Image) throws(PackageFault) {
      let name = image.node.node
      let place = "\(layout.directory): the image of node \(name)"
      guard image.node.bundleID == manifest.bundleID, let node = manifest.node(name) else {
        throw ImageFault.malformed(place, "holds a manifest.json of another bundle")
      }
      let needed = Set(manifest.blobs(of: node).map { BundleFiles.blob($0.digest) })
      let found = Set(image.manifest.files.map(\.path).filter { $0.hasPrefix(BundleFiles.blobs) })
      guard needed == found else {
        throw ImageFault.malformed(
          place,
          "holds \(found.count) blobs, which are not the \(needed.count) that its "
            + "manifest.json names")
      }
    }

    func fill(_ root: String) throws {
      guard isBundle else { return try place(images[0], in: root) }
      try Directory.create("\(root)/\(BundleFiles.blobs)")
      for image in images {
        let own = "\(root)/\(BundleFiles.nodes)/\(image.node.node)"
        try place(image, in: own)
        for file in image.manifest.files where file.path != BundleFiles.nodeDescriptor {
          try Directory.link("\(own)/\(file.path)", to: "\(root)/\(file.path)")
        }
      }
      for name in [BundleFiles.blobs, "blobs", BundleFiles.nodes, "."] {
        try Directory.synchronize("\(root)/\(name)")
      }
    }

    /// One image as a node's directory.
    private func place(_ image: ImageLayout.Image, in directory: String) throws {
      try Directory.create("\(directory)/\(BundleFiles.blobs)")
      for file in image.manifest.files {
        let target = "\(directory)/\(file.path)"
        if let limit = BundleFiles.limit(ofSmall: file.path) {
          let output = try OutputFile(path: target)
          try output.write(try layout.contents(of: file.blob, limit: limit), at: 0)
          try output.synchronize()
        } else {
          let source = try layout.path(of: file.blob)
          try Directory.link(Directory.resolved(source) ?? source, to: target)
          try InputFile(path: target).synchronize()
        }
      }
      for name in [BundleFiles.blobs, "blobs", "."] {
        try Directory.synchronize("\(directory)/\(name)")
      }
    }
  }
}
