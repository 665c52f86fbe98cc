import TensorCore
import TensorKernels

/// A chunk that was made, and the least that a code for its single bytes could have taken.
struct MadeChunk: Sendable {
  let chunk: Chunk
  /// `OrderZero.bound`, at most the raw bytes.
  let bound: Int
}

/// Raw bytes that a chunk is to be made of.
struct RawChunk {
  /// The bytes stand at its beginning.
  let buffer: AlignedBuffer
  let count: Int
  let rule: ChunkRule
}

extension ChunkWorkspace {
  /// Appends a chunk to a blob, in its compressed form where that pays.
  func append(_ raw: RawChunk, to blob: BlobWriter) throws -> MadeChunk {
    let bound = raw.buffer.withPrefix(raw.count) {
      OrderZero.bound(of: $0, width: raw.rule.codec.splitByteCount)
    }
    guard let size = compress(raw, bound: bound) else {
      let digest = try raw.buffer.withPrefix(raw.count) { try blob.append($0) }
      let chunk = Chunk(
        codec: .raw, rawByteCount: raw.count, storedByteCount: raw.count, rawDigest: digest,
        storedDigest: digest)
      return MadeChunk(chunk: chunk, bound: bound)
    }
    let chunk = Chunk(
      codec: raw.rule.codec, rawByteCount: raw.count, storedByteCount: size,
      rawDigest: raw.buffer.withPrefix(raw.count) { digest(of: $0) },
      storedDigest: try buffer(.first, byteCount: size).withPrefix(size) {
        try blob.append($0)
      })
    return MadeChunk(chunk: chunk, bound: bound)
  }

  /// Compresses into the first buffer; nil where it does not pay.
  private func compress(_ raw: RawChunk, bound: Int) -> Int? {
    // Numbers do not fall below the bound, so there is no need to try.
    guard raw.rule.pays(stored: raw.rule.isNumbers ? bound : 0, raw: raw.count) else { return nil }
    let size = frame(raw)
    return raw.rule.pays(stored: size, raw: raw.count) ? size : nil
  }

  /// Compresses into the first buffer, whether it pays or not.
  func frame(_ raw: RawChunk) -> Int {
    let stored = buffer(.first, byteCount: ZstandardWriter.bound(raw.count))
    let width = raw.rule.codec.splitByteCount
    let input = width == 1 ? raw.buffer : buffer(.spare, byteCount: raw.count)
    if width > 1 {
      raw.buffer.withPrefix(raw.count) { numbers in
        input.withMutablePrefix(raw.count) {
          BytePlanes.split(numbers, width: width, into: &$0)
        }
      }
    }
    let writer = raw.rule.isNumbers ? literals : matches
    let size = input.withPrefix(raw.count) { bytes in
      stored.withMutableBytes { writer.compress(bytes, parts: width, into: &$0) }
    }
    guard let size else { preconditionFailure("a frame is longer than Zstandard's bound") }
    return size
  }
}
