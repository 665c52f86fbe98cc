import ModelArchitectures
import Quantization
import Synchronization
import TensorCore
import TensorKernels

/// Keeps blobs of the bundle that stands where the new one is to be, where making them again
/// would give the same bytes.
struct BlobReuse {
  let quantized: QuantizedCheckpoint
  let pool: WorkerPool
  private let manifest: Manifest
  private let store: BlobStore

  /// Nil where there is no usable bundle, or one that was made another way.
  init?(
    directory: String, chunkByteCount: Int, quantized: QuantizedCheckpoint, pool: WorkerPool
  ) {
    let path = "\(directory)/\(BundleFiles.manifest)"
    guard
      let bytes = try? InputFile.contents(of: path, limit: ManifestLimits.manifestByteCount),
      let manifest = try? Manifest(file: bytes, path: path),
      manifest.compressor == ChunkRule.compressor,
      manifest.chunkByteCount == chunkByteCount
    else { return nil }
    self.quantized = quantized
    self.pool = pool
    self.manifest = manifest
    store = BlobStore(directory: directory)
  }

  /// The blob of a component, once every raw and every stored byte proved to be what it says.
  func blob(
    of component: Component, _ contents: PackBlob, meter: ProgressMeter
  ) -> (blob: PackedBlob, path: String)? {
    guard let entry = manifest.component(component) else { return nil }
    return check(entry.places(), entry.blob, contents, meter: meter)
  }

  /// The blob of the files beside the weights, likewise.
  func blob(
    ofFiles contents: PackBlob, meter: ProgressMeter
  ) -> (blob: PackedBlob, path: String)? {
    check(manifest.modelFiles.places, manifest.modelFiles.blob, contents, meter: meter)
  }

  private func check(
    _ places: [ChunkPlace], _ blob: BlobReference, _ contents: PackBlob, meter: ProgressMeter
  ) -> (blob: PackedBlob, path: String)? {
    let wanted = contents.contents.flatMap { content in
      content.chunkRanges.map { (content: content, range: $0) }
    }
    let bounds = Mutex(Array(repeating: 0, count: wanted.count))
    guard places.count == wanted.count,
      zip(places, wanted).allSatisfy({ $0.0.describes($0.1.content, $0.1.range) })
    else { return nil }
    let workspaces = WorkspacePool()
    let isSame: Void? = try? pool.runThrowing(chunks: places.count) { index in
      let (place, source) = (places[index], wanted[index])
      try workspaces.with { workspace in
        let buffer = workspace.buffer(.first, byteCount: source.range.count)
        try quantized.read(source.range, of: source.content, into: buffer)
        let digest = buffer.withPrefix(source.range.count) { workspace.digest(of: $0) }
        let bound = buffer.withPrefix(source.range.count) {
          OrderZero.bound(of: $0, width: source.content.rule.codec.splitByteCount)
        }
        bounds.withLock { $0[index] = bound }
        guard digest == place.chunk.rawDigest else { throw place.fault("changed", "changed") }
        try workspace.read(places[index...index], from: store) { _, _ in }
      }
    }
    store.close(blob)
    guard isSame != nil else { return nil }
    meter.add(contents.byteCount)
    var chunks: [[Chunk]] = []
    var sums: [Int] = []
    var first = 0
    for content in contents.contents {
      let own = first..<first + content.ranges.count
      chunks.append(places[own].map(\.chunk))
      sums.append(bounds.withLock { $0[own].reduce(0, +) })
      first = own.upperBound
    }
    return (PackedBlob(reference: blob, chunks: chunks, bounds: sums), store.path(blob))
  }
}

extension ChunkPlace {
  /// Whether this is the chunk of that range of that content, by everything but the bytes.
  fileprivate func describes(_ wanted: PackContent, _ range: Range<Int>) -> Bool {
    guard contentOffset == range.lowerBound, chunk.rawByteCount == range.count else {
      return false
    }
    switch (content, wanted.source) {
    case (.file(let mine), .file(let name, _)): return mine == name
    case (.plane(let mine, let plane, _), .plane(let tensor, let index)):
      return mine.name == tensor.name && mine.scheme.name == tensor.scheme.name
        && mine.shape == tensor.shape && plane == index
    default: return false
    }
  }
}
