import StrictJSON
import TensorCore

/// A chunk that is a blob of its own, read exactly as one of a bundle: for those who want to know
/// what hostile bytes do.
package enum LooseChunk {
  /// Reads the bytes, once and as two chunks at a time, as a manifest with these words would have
  /// it.
  ///
  /// The raw digest is wrong unless the codec stores bytes as they are, so that a chunk that
  /// decompresses ends as `package.rawDigestMismatch`.
  ///
  /// - Parameter directory: where the blob may be written; it is removed again.
  /// - Throws: `PackageFault` or `FileFault`.
  package static func read(
    _ bytes: [UInt8], codec: String, rawByteCount: Int, directory: String
  ) throws {
    let stored = Digest(of: bytes)
    let raw = codec == ChunkCodec.raw.rawValue ? stored : Digest(of: [])
    let members: JSONObject = [
      "codec": .string(codec), "raw_bytes": JSONValue(rawByteCount),
      "stored_bytes": JSONValue(bytes.count), "raw_digest": .string(raw.description),
      "stored_digest": .string(stored.description),
    ]
    let chunk = try Chunk(StrictObject(members, place: "the chunk"))
    guard chunk.rawByteCount % chunk.codec.splitByteCount == 0 else {
      throw StrictObject.fault("stores \(rawByteCount) bytes as \(codec)", "the chunk")
    }
    let path = "\(directory)/\(BundleFiles.blob(stored))"
    try Directory.create("\(directory)/\(BundleFiles.blobs)")
    try OutputFile(path: path).write(bytes, at: 0)
    defer { try? Directory.remove(path) }
    let place = ChunkPlace(
      chunk: chunk, blob: BlobReference(digest: stored, byteCount: bytes.count), blobOffset: 0,
      contentOffset: 0, content: .file("chunk"))
    for places in [[place], [place, place]] {
      try BlobStore(directory: directory).read(places, pool: nil) { _, _ in }
    }
  }
}
