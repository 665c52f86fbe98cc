import StrictJSON
import TensorCore

/// What an image layout says of one of its blobs: kind, digest, length, and what it is called.
struct ImageDescriptor: Equatable {
  var mediaType: String
  var blob: BlobReference
  var annotations: [String: String] = [:]

  init(mediaType: String, blob: BlobReference, annotations: [String: String] = [:]) {
    self.mediaType = mediaType
    self.blob = blob
    self.annotations = annotations
  }

  var json: JSONValue {
    var object: JSONObject = [
      "mediaType": .string(mediaType), "digest": .string(blob.digest.description),
      "size": JSONValue(blob.byteCount),
    ]
    if !annotations.isEmpty {
      var texts = JSONObject()
      for (name, text) in annotations.sorted(by: { $0.key < $1.key }) {
        texts[name] = .string(text)
      }
      object["annotations"] = .object(texts)
    }
    return .object(object)
  }

  /// - Parameter place: the file and the member, for faults.
  init(_ value: JSONValue, place: String) throws(PackageFault) {
    guard let mediaType = value["mediaType"]?.string, let text = value["digest"]?.string,
      let size = value["size"]?.int, (0...ManifestLimits.blobByteCount).contains(size)
    else {
      throw ImageFault.malformed(
        place, "is no descriptor with the texts mediaType and digest and the number size")
    }
    guard let digest = Digest(text) else {
      throw ImageFault.malformed(
        place,
        "has the digest \(Excerpt.quoted(text)); expected sha256: and 64 lower-case hexadecimal "
          + "digits")
    }
    self.mediaType = mediaType
    blob = BlobReference(digest: digest, byteCount: size)
    for (name, value) in (value["annotations"]?.object ?? JSONObject()).members {
      guard let text = value.string else {
        throw ImageFault.malformed(place, "has the annotation \(Excerpt.quoted(name)), no text")
      }
      annotations[name] = text
    }
  }
}

/// Faults of image layouts.
enum ImageFault {
  static func malformed(_ place: String, _ problem: String) -> PackageFault {
    PackageFault(
      "imageLayout", "\(place) \(problem); copy the image again", context: ["place": place])
  }
}
