import TensorCore

extension ChunkWorkspace {
  /// Whether compression is worth its time: it must save 1.5 % or more.
  static func pays(stored: Int, raw: Int) -> Bool { stored * 1000 <= raw * 985 }

  /// Chunks below this length hold too little for a frame to pay.
  static let smallestCompressed = 64

  /// What decides stored bytes besides the raw ones: chunks made elsewhere may be kept where
  /// this is the same.
  static var compressor: String { "\(ZstandardContext.fingerprint), from 1.5 % gain" }

  /// Digests the `count` raw bytes at the beginning of `buffer` and, where that pays, replaces
  /// them by their compressed form.
  func makeChunk(in buffer: AlignedBuffer, count: Int, codec: ChunkCodec) -> Chunk {
    let rawDigest = buffer.withPrefix(count) { digest(of: $0) }
    guard count >= Self.smallestCompressed,
      let compressed = compress(buffer, count: count, codec: codec)
    else {
      return Chunk(
        codec: .raw, rawByteCount: count, storedByteCount: count, rawDigest: rawDigest,
        storedDigest: rawDigest)
    }
    let stored = self.buffer(.stored, byteCount: compressed)
    let storedDigest = stored.withPrefix(compressed) { bytes in
      buffer.withMutablePrefix(compressed) { target in
        unsafe bytes.withUnsafeBytes { source in
          unsafe target.withUnsafeMutableBytes { unsafe $0.copyMemory(from: source) }
        }
      }
      return digest(of: bytes)
    }
    return Chunk(
      codec: codec, rawByteCount: count, storedByteCount: compressed, rawDigest: rawDigest,
      storedDigest: storedDigest)
  }

  /// Compresses into the `stored` buffer; nil where it does not pay.
  private func compress(_ source: AlignedBuffer, count: Int, codec: ChunkCodec) -> Int? {
    let stored = buffer(.stored, byteCount: ZstandardContext.bound(count))
    let width = codec.splitByteCount
    let input = width == 1 ? source : buffer(.split, byteCount: count)
    if width > 1 {
      source.withPrefix(count) { raw in
        input.withMutablePrefix(count) { BytePlanes.split(raw, width: width, into: &$0) }
      }
    }
    let size = input.withPrefix(count) { bytes in
      stored.withMutableBytes { zstandard.compress(bytes, into: &$0) }
    }
    guard let size, Self.pays(stored: size, raw: count) else { return nil }
    return size
  }
}
