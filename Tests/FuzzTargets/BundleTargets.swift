import ShardPackaging
import StrictJSON
import TensorCore

extension FuzzTarget {
  static let bundles: [FuzzTarget] = [
    FuzzTarget("manifest", maximumByteCount: 20480) { bytes, _ in
      let manifest = try Manifest(file: sealed(bytes, as: "manifest"), path: "manifest.json")
      for node in manifest.nodes { _ = manifest.blobs(of: node) }
    },
    // A manifest of two bytes, so that its text in the envelope is short.
    FuzzTarget("signature") { bytes, _ in
      _ = try SignatureEnvelope(
        file: bytes, manifest: Array("{}".utf8), path: "signature.json")
    },
    FuzzTarget("key") { bytes, place in
      let path = try place.write(bytes, as: "key")
      do { _ = try PublicKey(path: path) } catch { _ = try SigningKey(path: path) }
    },
    FuzzTarget("chunk") { bytes, place in
      let line = bytes.prefix { $0 != UInt8(ascii: "\n") }
      let words = line.split(separator: UInt8(ascii: " ")).map {
        String(decoding: $0, as: UTF8.self)
      }
      guard words.count == 2, let rawByteCount = Int(words[1]) else { return }
      try LooseChunk.read(
        Array(bytes.dropFirst(line.count + 1)), codec: words[0], rawByteCount: rawByteCount,
        directory: place.path)
    },
    FuzzTarget("image", prepare: prepareLayout) { bytes, place in
      do { _ = try ImageManifest(file: bytes, path: "manifest") } catch is PackageFault {
        _ = try place.write(bytes, as: "index.json")
        _ = try ImageLayout(directory: place.path)
      }
    },
  ]

  /// A layout with the image of one node, of whose files only node.json is there.
  private static func prepareLayout(_ place: FuzzPlace) throws {
    let blobs = "\(place.path)/blobs/sha256"
    try Directory.create(blobs)
    func put(_ bytes: [UInt8]) throws -> String {
      let digest = Digest(of: bytes)
      _ = try place.write(bytes, as: "blobs/sha256/\(digest.hexadecimal)")
      return "\"digest\":\"\(digest)\",\"size\":\(bytes.count)"
    }
    func layer(_ title: String, _ blob: String) -> String {
      "{\"annotations\":{\"org.opencontainers.image.title\":\"\(title)\"},"
        + "\"mediaType\":\"a/b\",\(blob)}"
    }
    let empty = Digest(of: [])
    let inner =
      "{\"bundle_id\":\"\(empty)\",\"name\":\"a\",\"schema\":\"shardtool.bundle-node/1\"}"
    let node = try put(sealed(Array(inner.utf8), as: "node"))
    let manifest = "\"digest\":\"\(empty)\",\"size\":0"
    let layers = [layer("manifest.json", manifest), layer("node.json", node)]
    let image = "{\"schemaVersion\":2,\"layers\":[\(layers.joined(separator: ","))]}"
    _ = try put(Array(image.utf8))
    _ = try place.write(Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8), as: "oci-layout")
  }

  /// JSON becomes canonical and gets its right digest in front, so that what is behind the digest
  /// is tried as well; files that have one, and what is no JSON, stay as they are.
  private static func sealed(_ bytes: [UInt8], as name: String) -> [UInt8] {
    guard !bytes.starts(with: "{\"digest\":".utf8), let value = try? JSONParsing().parse(bytes)
    else { return bytes }
    let inner = value.serialized(.canonical)
    let digest = Digest(of: Array(inner.utf8))
    return Array("{\"digest\":\"\(digest)\",\"\(name)\":\(inner)}\n".utf8)
  }
}
