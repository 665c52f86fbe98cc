import StrictJSON
import TensorCore

/// An OCI image layout that holds nodes of a bundle, an image each, opened for reading.
package struct ImageLayout {
  let directory: String
  /// In the order of the index.
  let images: [Image]

  struct Image {
    /// Its name in the layout, where it has one.
    let reference: String?
    let blob: BlobReference
    let manifest: ImageManifest
    let node: NodeDescriptor

    /// The same image where the index lists it under another name.
    func named(_ reference: String?) -> Image {
      Image(reference: reference, blob: blob, manifest: manifest, node: node)
    }
  }

  /// Reads the index, the images' manifests and their node.json, each against its digest; the
  /// other files stay unread.
  package init(directory: String) throws {
    self.directory = directory
    let marker = "\(directory)/\(ImageFiles.marker)"
    guard Directory.isFile(marker) else {
      throw PackageFault(
        "noImageLayout",
        "\(directory) holds no file \(ImageFiles.marker), so it is no OCI image layout; give what "
          + "shardtool export --format oci or skopeo copy … oci:DIRECTORY has written",
        exitStatus: .noInput, context: ["file": directory])
    }
    let version = try ImageJSON.parse(
      try InputFile.contents(of: marker, limit: ManifestLimits.nodeDescriptorByteCount),
      path: marker)["imageLayoutVersion"]?.string
    guard version == ImageFiles.layoutVersion else {
      throw ImageFault.malformed(
        marker, "does not name the imageLayoutVersion \(ImageFiles.layoutVersion)")
    }
    let path = "\(directory)/\(ImageFiles.index)"
    let index = try ImageJSON.parse(
      try InputFile.contents(of: path, limit: ImageFiles.jsonByteCountLimit), path: path)
    guard let entries = index["manifests"]?.array,
      (1...ImageFiles.imageLimit).contains(entries.count)
    else {
      throw ImageFault.malformed(path, "lists no manifests, or more than \(ImageFiles.imageLimit)")
    }
    var images: [Image] = []
    var seen: [BlobReference: Image] = [:]
    var byteCount = 0
    for (number, entry) in entries.enumerated() {
      let descriptor = try ImageDescriptor(entry, place: "\(path): manifests[\(number)]")
      guard descriptor.mediaType == ImageFiles.manifestType else {
        throw ImageFault.malformed(
          "\(path): manifests[\(number)]",
          "is \(Excerpt.quoted(descriptor.mediaType)); expected \(ImageFiles.manifestType)")
      }
      let reference = descriptor.annotations[ImageFiles.referenceName]
      if let image = seen[descriptor.blob] {
        images.append(image.named(reference))
        continue
      }
      guard descriptor.blob.byteCount <= ImageFiles.manifestByteCountLimit - byteCount else {
        throw ImageFault.malformed(
          path,
          "lists image manifests of more than "
            + "\(Quantity.describe(bytes: ImageFiles.manifestByteCountLimit)) in all")
      }
      byteCount += descriptor.blob.byteCount
      let image = try Self.image(descriptor.blob, reference, directory: directory)
      seen[descriptor.blob] = image
      images.append(image)
    }
    self.images = images
  }

  private static func image(
    _ blob: BlobReference, _ reference: String?, directory: String
  ) throws -> Image {
    let bytes = try contents(
      of: blob, limit: ImageFiles.jsonByteCountLimit, directory: directory)
    let path = blobPath(blob, directory)
    let manifest = try ImageManifest(file: bytes, path: path)
    guard let file = manifest.file(BundleFiles.nodeDescriptor) else {
      throw ImageFault.malformed(path, "has no \(BundleFiles.nodeDescriptor)")
    }
    let node = try NodeDescriptor(
      file: try contents(
        of: file.blob, limit: ManifestLimits.nodeDescriptorByteCount, directory: directory),
      path: blobPath(file.blob, directory))
    return Image(reference: reference, blob: blob, manifest: manifest, node: node)
  }

  private static func blobPath(_ blob: BlobReference, _ directory: String) -> String {
    "\(directory)/\(BundleFiles.blob(blob.digest))"
  }

  /// Where a blob lies, once it is there with its length.
  func path(of blob: BlobReference) throws -> String {
    _ = try Self.open(blob, directory)
    return Self.blobPath(blob, directory)
  }

  /// A small blob's bytes, which have its digest.
  func contents(of blob: BlobReference, limit: Int) throws -> [UInt8] {
    try Self.contents(of: blob, limit: limit, directory: directory)
  }

  private static func contents(
    of blob: BlobReference, limit: Int, directory: String
  ) throws -> [UInt8] {
    let path = blobPath(blob, directory)
    guard blob.byteCount <= limit else {
      throw ImageFault.malformed(path, "has \(blob.byteCount) bytes; at most \(limit) are read")
    }
    let bytes = try open(blob, directory).bytes(at: 0, count: blob.byteCount)
    let found = Digest(of: bytes)
    guard found == blob.digest else {
      throw ImageFault.malformed(path, "is damaged: its bytes have the digest \(found)")
    }
    return bytes
  }

  private static func open(_ blob: BlobReference, _ directory: String) throws -> InputFile {
    let path = blobPath(blob, directory)
    let file: InputFile
    do { file = try InputFile(path: path) } catch {
      guard error.code == "file.missing" else { throw error }
      throw ImageFault.malformed(path, "is missing")
    }
    guard file.byteCount == blob.byteCount else {
      throw ImageFault.malformed(
        path, "has \(file.byteCount) bytes instead of \(blob.byteCount)")
    }
    return file
  }
}
