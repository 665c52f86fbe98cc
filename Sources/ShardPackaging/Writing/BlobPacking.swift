import Quantization
import Synchronization
import TensorCore
import TensorKernels

/// Turns contents into blobs, each on one thread, as many at once as there are threads.
///
/// Memory is bounded by a few chunks for each thread, and the bytes do not depend on the threads.
struct BlobPacking {
  let quantized: QuantizedCheckpoint
  /// `blobs/sha256` of the bundle that is being made.
  let directory: String
  let pool: WorkerPool
  let meter: ProgressMeter

  /// Makes the blobs and waits until they are on the disk.
  func pack(_ blobs: [PackBlob]) throws -> [PackedBlob] {
    let made = Mutex([PackedBlob?](repeating: nil, count: blobs.count))
    let files = Mutex([OutputFile]())
    let workspaces = WorkspacePool()
    // The longest first, so that no thread is left alone with one.
    let order = blobs.indices.sorted {
      (blobs[$1].byteCount, $0) < (blobs[$0].byteCount, $1)
    }
    try pool.runThrowing(chunks: order.count) { turn in
      let index = order[turn]
      let writer = try BlobWriter(directory: directory, number: index)
      let blob = try workspaces.with { try write(blobs[index], to: writer, $0) }
      made.withLock { $0[index] = blob }
      files.withLock { $0.append(writer.file) }
    }
    for file in files.withLock({ $0 }) { try file.synchronize() }
    return made.withLock { $0.compactMap { $0 } }
  }

  private func write(
    _ blob: PackBlob, to writer: BlobWriter, _ workspace: ChunkWorkspace
  ) throws -> PackedBlob {
    var chunks: [[Chunk]] = []
    var bounds: [Int] = []
    for content in blob.contents {
      var own: [MadeChunk] = []
      for range in content.chunkRanges {
        let buffer = workspace.buffer(.second, byteCount: range.count)
        try quantized.read(range, of: content, into: buffer)
        let raw = RawChunk(buffer: buffer, count: range.count, rule: content.rule)
        own.append(try workspace.append(raw, to: writer))
        meter.add(range.count)
      }
      chunks.append(own.map(\.chunk))
      bounds.append(own.reduce(0) { $0 + $1.bound })
    }
    return PackedBlob(reference: try writer.finish(), chunks: chunks, bounds: bounds)
  }
}
