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
    var made: MadeChunk?
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
    let width = 4 * pool.threads
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
      let pairs = (next.count + 1) / 2
      try pool.runThrowing(chunks: pairs + 1) { index in
        if index == 0 {
          for (offset, task) in waiting.enumerated() {
            let slot = windows[(written / width) & 1][offset]
            try sink.append(slot.made, slot.buffer, blob: task.blob, content: task.content)
          }
        } else {
          let own = 2 * (index - 1)..<min(2 * index, next.count)
          let slots = windows[(made / width) & 1][own]
          let tasks = next.dropFirst(own.lowerBound).prefix(own.count)
          try workspaces.with { try make(tasks, of: blobs, in: slots, $0) }
        }
      }
      written = made
      made += next.count
    }
    return try sink.finish()
  }

  /// Makes one chunk, or two at a time.
  private func make(
    _ tasks: ArraySlice<Task>, of blobs: [PackBlob], in slots: ArraySlice<Slot>,
    _ workspace: ChunkWorkspace
  ) throws {
    let raw = try zip(tasks, slots).map { task, slot in
      let content = blobs[task.blob].contents[task.content]
      try quantized.read(task.range, of: content, into: slot.buffer)
      return RawChunk(buffer: slot.buffer, count: task.range.count, rule: content.rule)
    }
    for (slot, made) in zip(slots, workspace.makeChunks(raw)) {
      slot.made = made
      meter.add(made.chunk.rawByteCount)
    }
  }

  /// Writes chunks one after the other, begins a new file with each blob, and waits for the disk
  /// at the end.
  private struct Sink {
    let blobs: [PackBlob]
    let directory: String
    private var writer: BlobWriter?
    /// What is not known to be on the disk.
    private var finished: [BlobWriter] = []
    private var done: [PackedBlob] = []
    private var chunks: [[Chunk]] = []
    private var bounds: [Int] = []

    init(blobs: [PackBlob], directory: String) {
      self.blobs = blobs
      self.directory = directory
    }

    mutating func append(
      _ made: MadeChunk?, _ buffer: AlignedBuffer, blob: Int, content: Int
    ) throws {
      guard let made else { preconditionFailure("a chunk was written before it was made") }
      try advance(to: blob)
      try buffer.withPrefix(made.chunk.storedByteCount) { try writer?.append($0) }
      chunks[content].append(made.chunk)
      bounds[content] += made.bound
    }

    /// Finishes blobs before `index` and opens that one.
    private mutating func advance(to index: Int) throws {
      while done.count < index || writer == nil {
        if writer == nil {
          writer = try BlobWriter(directory: directory, number: done.count)
          chunks = Array(repeating: [], count: blobs[done.count].contents.count)
          bounds = Array(repeating: 0, count: blobs[done.count].contents.count)
        } else {
          try close()
        }
      }
    }

    private mutating func close() throws {
      guard let writer else { return }
      done.append(PackedBlob(reference: try writer.finish(), chunks: chunks, bounds: bounds))
      finished.append(writer)
      self.writer = nil
    }

    mutating func finish() throws -> [PackedBlob] {
      guard !blobs.isEmpty else { return [] }
      try advance(to: blobs.count - 1)
      try close()
      for writer in finished { try writer.synchronize() }
      return done
    }
  }
}
