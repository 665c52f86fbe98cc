/// Names in an OCI image layout, and the media types of what a bundle is in one.
///
/// Source: https://github.com/opencontainers/image-spec, version 1.1: image-layout.md, manifest.md
/// ("Guidelines for Artifact Usage") and annotations.md.
enum ImageFiles {
  static let marker = "oci-layout"
  static let index = "index.json"
  static let layoutVersion = "1.0.0"

  static let indexType = "application/vnd.oci.image.index.v1+json"
  static let manifestType = "application/vnd.oci.image.manifest.v1+json"
  /// The content that stands where an image that is run has its configuration: `{}`.
  static let emptyType = "application/vnd.oci.empty.v1+json"
  static let emptyContent = Array("{}".utf8)
  /// What kind of thing an image is: a node's directory.
  static let artifactType = "application/vnd.shardtool.bundle.node.v1"
  /// A file of such a directory.
  static let fileType = "application/vnd.shardtool.bundle.file.v1"

  /// The annotation that names an image within its layout.
  static let referenceName = "org.opencontainers.image.ref.name"
  /// The annotation that names a file: its path in the node's directory.
  static let title = "org.opencontainers.image.title"

  /// Bytes of index.json or of an image's manifest.
  static let jsonByteCountLimit = 4 << 20
  /// Bytes of all different manifests in a layout.
  static let manifestByteCountLimit = 32 << 20
  /// Images in a layout, and files in an image.
  static let imageLimit = 1024
  static let fileLimit = 16384

  /// What stands at the top of a layout, a bundle or a node's directory.
  static let entries: Set<String> = Set(BundleFiles.small.map(\.name))
    .union([marker, index, "blobs", BundleFiles.nodes])
}
