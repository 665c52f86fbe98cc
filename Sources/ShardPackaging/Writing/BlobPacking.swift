import Quantization
import Synchronization
import TensorCore
import TensorKernels

/// Turns contents into blobs: reads, digests and compresses chunks in parallel, writes them in
/// order while the next ones are being made.
///
/// Memory is bounded by two windows of chunks, and the bytes do not depend on the threads.
struct BlobPacking {
  let quantized: QuantizedCheckpoint
  /// `blobs/sha256` of the bundle that is being made.
  let directory: String
  let pool: WorkerPool
  let meter: ProgressMeter

  /// One chunk to be made.
  private struct Task {
    let blob: Int
    let content: Int
    let range: Range<Int>
  }

  /// Where a chunk waits until it is written.
  private final class Slot {
    let buffer: AlignedBuffer
    var chunk: Chunk?
    init(byteCount: Int) { buffer = AlignedBuffer(byteCount: byteCount) }
  }

  /// Makes the blobs, in order.
  func pack(_ blobs: [PackBlob]) throws -> [PackedBlob] {
    let tasks = blobs.enumerated().flatMap { blob, entry in
      entry.contents.enumerated().flatMap { content, source in
        source.chunkRanges.map { Task(blob: blob, content: content, range: $0) }
      }
    }
    let largest = tasks.reduce(0) { max($0, $1.range.count) }
    let width = 2 * pool.threads
    // SAFETY: a slot belongs to one chunk of one window at a time; `run` returns only when all
    // threads are done with the window.
    let windows = (0..<2).map { _ in (0..<width).map { _ in Slot(byteCount: largest) } }
    let workspaces = WorkspacePool()
    var sink = Sink(blobs: blobs, directory: directory)
    var written = 0
    var made = 0
    while written < tasks.count {
      let waiting = tasks[written..<made]
      let next = tasks[made..<min(tasks.count, made + width)]
      try pool.runThrowing(chunks: next.count + 1) { index in
        if index == 0 {
          for (offset, task) in waiting.enumerated() {
            let slot = windows[(written / width) & 1][offset]
            try sink.append(slot.chunk, slot.buffer, blob: task.blob, content: task.content)
          }
        } else {
          let task = next[next.startIndex + index - 1]
          let slot = windows[(made / width) & 1][index - 1]
          try workspaces.with { try make(task, of: blobs, in: slot, $0) }
        }
      }
      written = made
      made += next.count
    }
    return try sink.finish()
  }

  private func make(
    _ task: Task, of blobs: [PackBlob], in slot: Slot, _ workspace: ChunkWorkspace
  ) throws {
    let content = blobs[task.blob].contents[task.content]
    try quantized.read(task.range, of: content, into: slot.buffer)
    slot.chunk = workspace.makeChunk(
      in: slot.buffer, count: task.range.count, codec: content.codec)
    meter.add(task.range.count)
  }

  /// Writes chunks one after the other and begins a new file with each blob.
  private struct Sink {
    let blobs: [PackBlob]
    let directory: String
    private var writer: BlobWriter?
    private var done: [PackedBlob] = []
    private var chunks: [[Chunk]] = []

    init(blobs: [PackBlob], directory: String) {
      self.blobs = blobs
      self.directory = directory
    }

    mutating func append(
      _ chunk: Chunk?, _ buffer: AlignedBuffer, blob: Int, content: Int
    ) throws {
      guard let chunk else { preconditionFailure("a chunk was written before it was made") }
      try advance(to: blob)
      try buffer.withPrefix(chunk.storedByteCount) { try writer?.append($0) }
      chunks[content].append(chunk)
    }

    /// Finishes blobs before `index` and opens that one.
    private mutating func advance(to index: Int) throws {
      while done.count < index || writer == nil {
        if writer == nil {
          writer = try BlobWriter(directory: directory, number: done.count)
          chunks = Array(repeating: [], count: blobs[done.count].contents.count)
        } else {
          try close()
        }
      }
    }

    private mutating func close() throws {
      guard let writer else { return }
      done.append(PackedBlob(reference: try writer.finish(), chunks: chunks))
      self.writer = nil
    }

    mutating func finish() throws -> [PackedBlob] {
      guard !blobs.isEmpty else { return [] }
      try advance(to: blobs.count - 1)
      try close()
      return done
    }
  }
}
