import Quantization
import TensorCore
import TensorKernels

/// What packing some weights cannot be faster than: hashing and compressing their bytes in
/// memory, as the packer does.
public struct PackYardstick {
  /// What was measured on a sample of chunks.
  public struct Rates: Sendable {
    public fileprivate(set) var byteCount = 0
    /// Of the raw bytes, once.
    public fileprivate(set) var hashSeconds = 0.0
    /// Into Zstandard frames, whether that pays or not.
    public fileprivate(set) var compressSeconds = 0.0

    public var hashRate: Double { Double(byteCount) / hashSeconds }
    public var compressRate: Double { Double(byteCount) / compressSeconds }
  }

  private let quantized: QuantizedCheckpoint
  private let chunks: [(content: PackContent, range: Range<Int>)]

  public init(
    _ quantized: QuantizedCheckpoint, chunkByteCount: Int = Packager.defaultChunkByteCount
  ) {
    self.quantized = quantized
    let tensors = quantized.tensors.values.sorted { $0.name < $1.name }
    chunks = PackBlob(tensors: tensors, chunkByteCount: chunkByteCount).contents.flatMap {
      content in content.chunkRanges.map { (content, $0) }
    }
  }

  /// Measures every so many chunks, so that there are about `byteCount` bytes of them; reading
  /// does not count.
  public func measure(_ pool: WorkerPool, byteCount: Int) throws -> Rates {
    let total = chunks.reduce(0) { $0 + $1.range.count }
    let step = max(1, total / max(1, byteCount))
    let sample = stride(from: 0, to: chunks.count, by: step).map { chunks[$0] }
    let width = 4 * pool.threads
    let buffers = (0..<width).map { _ in
      AlignedBuffer(byteCount: chunks.reduce(0) { max($0, $1.range.count) })
    }
    let workspaces = WorkspacePool()
    var rates = Rates()
    for start in stride(from: 0, to: sample.count, by: width) {
      let window = sample[start..<min(sample.count, start + width)]
      try pool.runThrowing(chunks: window.count) { index in
        let (content, range) = window[start + index]
        try quantized.read(range, of: content, into: buffers[index])
      }
      func seconds(_ work: (ChunkWorkspace, RawChunk) -> Void) -> Double {
        ContinuousClock().measure {
          pool.run(chunks: window.count) { index in
            let (content, range) = window[start + index]
            let raw = RawChunk(buffer: buffers[index], count: range.count, rule: content.rule)
            workspaces.with { work($0, raw) }
          }
        }.seconds
      }
      rates.hashSeconds += seconds { workspace, raw in
        raw.buffer.withPrefix(raw.count) { _ = workspace.digest(of: $0) }
      }
      rates.compressSeconds += seconds { workspace, raw in
        _ = workspace.frame(raw)
      }
      rates.byteCount += window.reduce(0) { $0 + $1.range.count }
    }
    return rates
  }
}
