import StrictJSON
import TensorCore

/// An image's manifest: the files of one node's directory, each by path, digest and length.
package struct ImageManifest {
  struct File {
    /// In the node's directory, such as `node.json` or `blobs/sha256/…`.
    let path: String
    let blob: BlobReference
  }

  let files: [File]

  /// The manifest's own bytes, the same for the same files.
  var fileBytes: [UInt8] {
    let empty = ImageDescriptor(
      mediaType: ImageFiles.emptyType,
      blob: BlobReference(
        digest: Digest(of: ImageFiles.emptyContent), byteCount: ImageFiles.emptyContent.count))
    let layers = files.map { file in
      ImageDescriptor(
        mediaType: ImageFiles.fileType, blob: file.blob,
        annotations: [ImageFiles.title: file.path]
      ).json
    }
    let value: JSONValue = [
      "schemaVersion": 2, "mediaType": .string(ImageFiles.manifestType),
      "artifactType": .string(ImageFiles.artifactType), "config": empty.json,
      "layers": .array(layers),
    ]
    return Array(value.serialized(.canonical).utf8)
  }

  init(files: [File]) { self.files = files }

  /// Reads a manifest that anyone may have written: only files that a node's directory has, under
  /// their right names, each once.
  ///
  /// - Parameter path: for faults.
  package init(file bytes: [UInt8], path: String) throws(PackageFault) {
    let value = try ImageJSON.parse(bytes, path: path)
    guard value["schemaVersion"]?.int == 2,
      (value["mediaType"]?.string ?? ImageFiles.manifestType) == ImageFiles.manifestType,
      let layers = value["layers"]?.array, layers.count <= ImageFiles.fileLimit
    else {
      throw ImageFault.malformed(
        path,
        "is no image manifest (\(ImageFiles.manifestType)) with at most "
          + "\(ImageFiles.fileLimit) layers")
    }
    var files: [File] = []
    var taken: Set<String> = []
    for (index, layer) in layers.enumerated() {
      let place = "\(path): layers[\(index)]"
      let descriptor = try ImageDescriptor(layer, place: place)
      guard let title = descriptor.annotations[ImageFiles.title] else {
        throw ImageFault.malformed(
          place, "has no \(ImageFiles.title), so the image was not made by shardtool export")
      }
      try Self.check(title, descriptor.blob, place: place)
      guard taken.insert(title).inserted else {
        throw ImageFault.malformed(place, "is a second \(title)")
      }
      files.append(File(path: title, blob: descriptor.blob))
    }
    self.files = files
    for name in [BundleFiles.manifest, BundleFiles.nodeDescriptor] where file(name) == nil {
      throw ImageFault.malformed(path, "has no \(name), so it is no part of a bundle")
    }
  }

  private static func check(
    _ title: String, _ blob: BlobReference, place: String
  ) throws(PackageFault) {
    if title == BundleFiles.blob(blob.digest) { return }
    guard let limit = BundleFiles.limit(ofSmall: title) else {
      throw ImageFault.malformed(
        place, "is called \(Excerpt.quoted(title)), which no node's directory holds")
    }
    guard blob.byteCount <= limit else {
      throw ImageFault.malformed(
        place, "gives \(title) \(blob.byteCount) bytes; at most \(limit) are read")
    }
  }

  func file(_ path: String) -> File? { files.first { $0.path == path } }

  /// The files beside the blobs.
  var small: [File] { files.filter { BundleFiles.limit(ofSmall: $0.path) != nil } }
}

/// The JSON of image layouts.
enum ImageJSON {
  static func parse(_ bytes: [UInt8], path: String) throws(PackageFault) -> JSONValue {
    do { return try JSONParsing().parse(bytes) } catch {
      throw ImageFault.malformed(path, "is not strict JSON (\(error))")
    }
  }
}
