import TensorCore
import TensorKernels

/// A chunk on its way through memory.
private struct ChunkInMemory {
  let index: Int
  let place: ChunkPlace
  /// Where its bytes are, in their present form.
  var buffer: ChunkWorkspace.Place
  /// Of its bytes in that form.
  var digest: Digest?

  var isCompressed: Bool { place.chunk.codec != .raw }
}

extension ChunkWorkspace {
  /// Reads one chunk, or two at a time: checks the stored digest, only then decompresses, checks
  /// the raw digest, and only then hands out the bytes with the chunk's index.
  ///
  /// Throws: what is wrong with the first bad chunk, after the one before it was handed out.
  func read(
    _ places: ArraySlice<ChunkPlace>, from store: BlobStore,
    _ body: (Int, RawSpan) throws -> Void
  ) throws {
    precondition((1...2).contains(places.count), "\(places.count) chunks at a time")
    trim(forPair: places.count == 2)
    var chunks = zip(places.indices, [Place.first, .second]).map {
      ChunkInMemory(index: $0, place: places[$0], buffer: $1)
    }
    var failure: (any Error)?
    // Does a step for each chunk; one that fails is left out, with what comes after it.
    func step(_ work: (inout ChunkInMemory) throws -> Void) {
      for position in chunks.indices {
        do { try work(&chunks[position]) } catch {
          failure = error
          chunks.removeSubrange(position...)
          return
        }
      }
    }
    var spare = Place.spare
    if !loadPieces(&chunks, from: store) {
      step { try load($0, from: store) }
      digest(&chunks, isRaw: false)
    }
    step { try check($0, isRaw: false) }
    step { try decompress(&$0, spare: &spare) }
    digest(&chunks, isRaw: true)
    step { try check($0, isRaw: true) }
    for chunk in chunks {
      let count = chunk.place.chunk.rawByteCount
      try buffer(chunk.buffer, byteCount: count).withPrefix(count) { try body(chunk.index, $0) }
    }
    if let failure { throw failure }
  }

  /// Bytes of a chunk that are read before they are digested: what a core's own cache keeps.
  private static let pieceByteCount = 64 << 10

  /// Reads two chunks piece by piece, each digested while caches hold it.
  ///
  /// - Returns: whether it was done; where something is wrong, `load` says what.
  private func loadPieces(_ chunks: inout [ChunkInMemory], from store: BlobStore) -> Bool {
    guard chunks.count == 2, TwoDigests.isSupported else { return false }
    let counts = chunks.map(\.place.chunk.storedByteCount)
    let buffers = chunks.indices.map { buffer(chunks[$0].buffer, byteCount: counts[$0]) }
    var digests = TwoDigests.Pair()
    do {
      let files = try chunks.map { try store.file($0.place.blob, owner: $0.place.owner) }
      for first in stride(from: 0, to: counts.max() ?? 0, by: Self.pieceByteCount) {
        let ranges = counts.map { min(first, $0)..<min(first + Self.pieceByteCount, $0) }
        for position in 0..<2 where !ranges[position].isEmpty {
          let offset = chunks[position].place.blobOffset + first
          try buffers[position].withMutableRange(ranges[position]) {
            try files[position].read(into: &$0, at: offset)
          }
        }
        buffers[0].withBytes { one in
          buffers[1].withBytes { two in
            digests.append(one.extracting(ranges[0]), two.extracting(ranges[1]))
          }
        }
      }
    } catch { return false }
    let both = Digest.pair(&digests)
    chunks[0].digest = both.first
    chunks[1].digest = both.second
    return true
  }

  private func load(_ chunk: ChunkInMemory, from store: BlobStore) throws {
    let place = chunk.place
    let file = try store.file(place.blob, owner: place.owner)
    let count = place.chunk.storedByteCount
    try buffer(chunk.buffer, byteCount: count).withMutablePrefix(count) { bytes in
      do throws(FileFault) {
        try file.read(into: &bytes, at: place.blobOffset)
      } catch {
        guard error.code == "file.truncated" else { throw error }
        throw place.fault("blobTruncated", "the file ends before byte \(count)")
      }
    }
  }

  /// Digests the chunks' bytes as they are now: the stored ones of all, the raw ones of those
  /// that were compressed.
  private func digest(_ chunks: inout [ChunkInMemory], isRaw: Bool) {
    func bytes<Result>(_ chunk: ChunkInMemory, _ body: (RawSpan) -> Result) -> Result {
      let count = isRaw ? chunk.place.chunk.rawByteCount : chunk.place.chunk.storedByteCount
      return buffer(chunk.buffer, byteCount: count).withPrefix(count, body)
    }
    let positions = chunks.indices.filter { !isRaw || chunks[$0].isCompressed }
    if positions.count == 2 {
      let (first, second) = (chunks[0], chunks[1])
      let both = bytes(first) { first in bytes(second) { Digest.pair(first, $0) } }
      chunks[0].digest = both.first
      chunks[1].digest = both.second
    } else {
      for position in positions {
        chunks[position].digest = bytes(chunks[position]) { digest(of: $0) }
      }
    }
  }

  private func check(_ chunk: ChunkInMemory, isRaw: Bool) throws(PackageFault) {
    let expected = isRaw ? chunk.place.chunk.rawDigest : chunk.place.chunk.storedDigest
    guard let found = chunk.digest, found != expected else { return }
    throw chunk.place.fault(
      isRaw ? "rawDigestMismatch" : "digestMismatch",
      "the \(isRaw ? "decompressed" : "stored") bytes have the digest \(found) instead of "
        + "\(expected)")
  }

  /// Puts the raw bytes of a compressed chunk into its own buffer or into the spare one, which
  /// then takes the other's place.
  private func decompress(
    _ chunk: inout ChunkInMemory, spare: inout Place
  ) throws(PackageFault) {
    let place = chunk.place
    let stored = place.chunk.storedByteCount
    let count = place.chunk.rawByteCount
    guard chunk.isCompressed else { return }
    let frame = buffer(spare, byteCount: count)
    let source = buffer(chunk.buffer, byteCount: stored)
    let objection = source.withPrefix(stored) { bytes -> String? in
      if let objection = ZstandardFrame.objection(to: bytes, contentByteCount: count) {
        return objection
      }
      let isWhole = frame.withMutablePrefix(count) { zstandard.decompress(bytes, into: &$0) }
      return isWhole ? nil : "its frame does not decompress to \(count) bytes"
    }
    if let objection { throw place.fault("frame", objection) }
    let width = place.chunk.codec.splitByteCount
    guard width > 1 else { return swap(&chunk.buffer, &spare) }
    let raw = buffer(chunk.buffer, byteCount: count)
    frame.withPrefix(count) { split in
      raw.withMutablePrefix(count) { BytePlanes.join(split, width: width, into: &$0) }
    }
  }
}
