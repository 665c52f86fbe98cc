import CKernels
import TensorCore

/// The form of a layer's attention.
public struct AttentionShape: Sendable, Equatable {
  public var heads: Int
  public var keyValueHeads: Int
  public var headDimension: Int
  /// Factor of the scores, 1 / √headDimension in most models.
  public var scale: Float
  /// Position i attends to j with i - window < j ≤ i; nil: to all before it.
  public var window: Int?
  /// Scores become softcap · tanh(score / softcap); nil: they stay.
  public var softcap: Float?

  public init(
    heads: Int, keyValueHeads: Int, headDimension: Int, scale: Float, window: Int? = nil,
    softcap: Float? = nil
  ) {
    precondition(
      heads > 0 && keyValueHeads > 0 && headDimension > 0 && heads % keyValueHeads == 0,
      "\(heads) heads share \(keyValueHeads) key-value heads")
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headDimension = headDimension
    self.scale = scale
    self.window = window
    self.softcap = softcap
  }
}

/// Memory for the scores of attention, one piece a thread.
///
// SAFETY: each thread of a pool writes its own slot.
@safe public final class AttentionScratch: @unchecked Sendable {
  public let threads: Int
  /// Most positions that the queries of one call attend to.
  public let context: Int
  private let buffer: AlignedBuffer

  public init(threads: Int, context: Int) {
    precondition(threads > 0 && context >= 0, "scratch for \(threads) threads")
    self.threads = threads
    self.context = context
    buffer = AlignedBuffer(byteCount: Self.byteCount(threads: threads, context: context))
  }

  /// Bytes that it takes; the memory ledger counts with it.
  public static func byteCount(threads: Int, context: Int) -> Int {
    threads * slotBytes(context)
  }

  private static func slotBytes(_ context: Int) -> Int {
    (ck_attention_scratch(context) * 4 + 63) / 64 * 64
  }

  @unsafe func slot(_ index: Int) -> UnsafeMutablePointer<Float> {
    precondition(index < threads, "slot \(index) of \(threads)")
    let offset = index * Self.slotBytes(context)
    return unsafe (buffer.pointer + offset).assumingMemoryBound(to: Float.self)
  }
}

extension ComputeContext {
  /// Causal attention of `rows` queries at `firstPosition` on, over a cache that already holds
  /// their keys and values.
  ///
  /// Shapes: q, y [rows, ≥ heads · headDimension].
  ///
  /// Precondition: the ring still holds every position the queries attend to.
  public func attention(
    _ q: Matrix, cache: KeyValueCache, shape: AttentionShape, firstPosition: Int, rows: Int,
    scratch: AttentionScratch, into y: Matrix
  ) {
    checkRows(q, rows)
    checkRows(y, rows)
    let width = shape.heads * shape.headDimension
    precondition(q.columns >= width && y.columns >= width, "\(width) columns per row")
    precondition(
      cache.keyValueHeads == shape.keyValueHeads && cache.headDimension == shape.headDimension,
      "a cache of another shape")
    guard rows > 0 else { return }
    let last = firstPosition + rows - 1
    let reach = shape.window.map { min($0, firstPosition + 1) } ?? (firstPosition + 1)
    let span = min(last + 1, reach + rows - 1)
    precondition(
      firstPosition >= 0 && span <= cache.capacity,
      "\(span) positions from a cache of \(cache.capacity)")
    precondition(
      scratch.threads >= pool.threads && span <= scratch.context,
      "scratch memory for \(scratch.threads) threads and \(scratch.context) positions")
    let attention = unsafe ck_attention(
      cache: cache.cache, heads: shape.heads, scale: shape.scale, softcap: shape.softcap ?? 0,
      window: shape.window ?? 0, first_position: firstPosition, q: q.pointer, q_stride: q.stride,
      y: y.pointer, y_stride: y.stride)
    let group = shape.heads / shape.keyValueHeads
    let rowsPerChunk = max(1, Int(CK_QUERIES) / group)
    let rowChunks = (rows + rowsPerChunk - 1) / rowsPerChunk
    let function = unsafe kernels.functions.attend
    let chunks = rowChunks * shape.keyValueHeads
    let run = { (chunk: Int, slot: Int) in
      // Neighbouring chunks share a head's keys and values.
      let (head, part) = chunk.quotientAndRemainder(dividingBy: rowChunks)
      let begin = part * rowsPerChunk
      var attention = unsafe attention
      unsafe function(
        &attention, head, begin, min(begin + rowsPerChunk, rows), scratch.slot(slot))
    }
    // Products of queries with keys and of scores with values.
    if 2 * span * rows * width / 4 < Self.leastCostPerChunk {
      for chunk in 0..<chunks { run(chunk, 0) }
    } else {
      pool.run(chunks: chunks, run)
    }
  }
}
