import TensorCore

/// What a node's directory consists of, by its manifest and node.json: both sides of a shipment
/// compute it for themselves.
struct NodeContent {
  let manifest: Manifest
  let node: ManifestNode
  let blobs: [Blob]

  struct Blob {
    let reference: BlobReference
    let chunks: [ChunkPlace]
    /// Who owns it, for people.
    let owner: String
  }

  init(manifest: Manifest, node: ManifestNode) {
    self.manifest = manifest
    self.node = node
    blobs = manifest.blobs(of: node).map { reference in
      Blob(
        reference: reference, chunks: manifest.chunks(of: reference),
        owner: manifest.owner(of: reference))
    }
  }

  var byteCount: Int { blobs.reduce(0) { $0 + $1.reference.byteCount } }

  func contains(_ index: ChunkIndex) -> Bool {
    blobs.indices.contains(index.blob) && blobs[index.blob].chunks.indices.contains(index.chunk)
  }

  /// Precondition: `contains(index)`.
  func place(_ index: ChunkIndex) -> ChunkPlace { blobs[index.blob].chunks[index.chunk] }

  func storedByteCount(_ indices: some Sequence<ChunkIndex>) -> Int {
    indices.reduce(0) { $0 + place($1).chunk.storedByteCount }
  }
}

extension Manifest {
  /// The chunks of a blob in their order: of the first owner, where several have the same bytes.
  func chunks(of blob: BlobReference) -> [ChunkPlace] {
    for set in [modelFiles, planFiles] where set.blob == blob { return set.places }
    return components.first { $0.blob == blob }?.places() ?? []
  }
}

/// Reads stored chunks and compares them with their digests, one at a time.
struct StoredChunkReader {
  private let buffer = AlignedBuffer(byteCount: ManifestLimits.chunkByteCount)
  private let digest = DigestStream()

  /// The stored bytes, where they are there and have their digest.
  ///
  /// Throws: `FileFault` where the system cannot read.
  func bytes(of place: ChunkPlace, in file: InputFile) throws(FileFault) -> [UInt8]? {
    guard try isSound(place, in: file) else { return nil }
    return buffer.withPrefix(place.chunk.storedByteCount) { bytes in
      unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
    }
  }

  func isSound(_ place: ChunkPlace, in file: InputFile) throws(FileFault) -> Bool {
    let count = place.chunk.storedByteCount
    guard place.blobOffset + count <= file.byteCount else { return false }
    do {
      try buffer.withMutablePrefix(count) { bytes throws(FileFault) in
        try file.read(into: &bytes, at: place.blobOffset)
      }
    } catch {
      guard error.code == "file.truncated" else { throw error }
      return false
    }
    return buffer.withPrefix(count) { bytes in
      digest.update(bytes)
      return digest.finish() == place.chunk.storedDigest
    }
  }

  func isSound(_ bytes: [UInt8], _ place: ChunkPlace) -> Bool {
    bytes.count == place.chunk.storedByteCount && Digest(of: bytes) == place.chunk.storedDigest
  }
}
