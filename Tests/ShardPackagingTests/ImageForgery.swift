import Foundation
import ShardPackaging
import StrictJSON
import TensorCore

/// An image layout in the hands of someone who can write.
struct ImageForgery {
  let directory: String

  var indexPath: String { "\(directory)/index.json" }

  func read(_ path: String) throws -> JSONValue {
    try JSONParsing().parse(try InputFile.contents(of: path))
  }

  func write(_ value: JSONValue, to path: String) throws {
    try Directory.writeAtomically(Array(value.serialized(.compact).utf8), to: path)
  }

  func blobPath(_ digest: String) -> String {
    "\(directory)/blobs/sha256/\(digest.dropFirst(7))"
  }

  /// Stores bytes as a blob and returns a descriptor of them.
  func put(_ bytes: [UInt8], type: String = "application/vnd.oci.image.manifest.v1+json") throws
    -> JSONValue
  {
    let digest = Digest(of: bytes).description
    try Directory.writeAtomically(bytes, to: blobPath(digest))
    return ["mediaType": .string(type), "digest": .string(digest), "size": JSONValue(bytes.count)]
  }

  /// Replaces the index's members.
  func changeIndex(_ change: (inout JSONValue) -> Void) throws {
    var index = try read(indexPath)
    change(&index)
    try write(index, to: indexPath)
  }

  /// Replaces an image's manifest by another one, with its right digest in the index.
  func changeImage(_ number: Int = 0, _ change: (inout JSONValue) -> Void) throws {
    var index = try read(indexPath)
    var images = index["manifests"]?.array ?? []
    var image = try read(blobPath(images[number]["digest"]?.string ?? ""))
    change(&image)
    images[number] = try put(Array(image.serialized(.compact).utf8))
    index["manifests"] = .array(images)
    try write(index, to: indexPath)
  }

  /// Replaces the layers of the first image.
  func changeLayers(_ change: (inout [JSONValue]) throws -> Void) throws {
    var failure: (any Error)?
    try changeImage { image in
      var layers = image["layers"]?.array ?? []
      do { try change(&layers) } catch { failure = error }
      image["layers"] = .array(layers)
    }
    if let failure { throw failure }
  }

  /// A layer with another title.
  static func titled(_ layer: JSONValue, _ title: String) -> JSONValue {
    var layer = layer
    layer["annotations"] = ["org.opencontainers.image.title": .string(title)]
    return layer
  }

  static func title(_ layer: JSONValue) -> String {
    layer["annotations"]?["org.opencontainers.image.title"]?.string ?? ""
  }
}
