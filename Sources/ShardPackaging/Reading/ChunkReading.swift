import TensorCore

extension ChunkWorkspace {
  /// Reads a chunk, checks the stored digest, only then decompresses, checks the raw digest, and
  /// only then hands out the bytes.
  func read(
    _ place: ChunkPlace, from file: InputFile, _ body: (RawSpan) throws -> Void
  ) throws {
    let chunk = place.chunk
    let stored = buffer(.stored, byteCount: chunk.storedByteCount)
    try stored.withMutablePrefix(chunk.storedByteCount) { bytes in
      do throws(FileFault) {
        try file.read(into: &bytes, at: place.blobOffset)
      } catch {
        guard error.code == "file.truncated" else { throw error }
        throw place.fault("blobTruncated", "the file ends before byte \(chunk.storedByteCount)")
      }
    }
    try stored.withPrefix(chunk.storedByteCount) { bytes in
      let found = digest(of: bytes)
      guard found == chunk.storedDigest else {
        throw place.fault(
          "digestMismatch",
          "the stored bytes have the digest \(found) instead of \(chunk.storedDigest)")
      }
      guard chunk.codec != .raw else { return try body(bytes) }
      try decompress(bytes, place).withPrefix(chunk.rawByteCount) { raw in
        let found = digest(of: raw)
        guard found == chunk.rawDigest else {
          throw place.fault(
            "rawDigestMismatch",
            "the decompressed bytes have the digest \(found) instead of \(chunk.rawDigest)")
        }
        try body(raw)
      }
    }
  }

  private func decompress(
    _ stored: RawSpan, _ place: ChunkPlace
  ) throws(PackageFault) -> AlignedBuffer {
    let chunk = place.chunk
    let count = chunk.rawByteCount
    if let objection = ZstandardFrame.objection(to: stored, contentByteCount: count) {
      throw place.fault("frame", objection)
    }
    let width = chunk.codec.splitByteCount
    let frame = buffer(width == 1 ? .raw : .split, byteCount: count)
    let isWhole = frame.withMutablePrefix(count) { zstandard.decompress(stored, into: &$0) }
    guard isWhole else {
      throw place.fault("frame", "its frame does not decompress to \(count) bytes")
    }
    guard width > 1 else { return frame }
    let raw = buffer(.raw, byteCount: count)
    frame.withPrefix(count) { split in
      raw.withMutablePrefix(count) { BytePlanes.join(split, width: width, into: &$0) }
    }
    return raw
  }
}
