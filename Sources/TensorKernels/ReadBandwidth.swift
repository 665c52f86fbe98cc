import CKernels
import TensorCore

/// Memory that threads read as fast as they can: the roof of everything that streams weights.
///
/// A claim about a kernel is a ratio of two figures of one run, so the probe is made once and
/// used between the repetitions of what is measured.
public final class BandwidthProbe: Sendable {
  private let buffer: AlignedBuffer
  private static let piece = 1 << 20

  /// Far beyond the caches of the machines we know.
  public static let usualBytes = 256 << 20

  /// Precondition: `bytes` is positive. See `usualBytes`.
  public init(bytes: Int) {
    precondition(bytes > 0, "a probe cannot read \(bytes) bytes")
    buffer = AlignedBuffer(byteCount: bytes)
    buffer.withMutableBytes { span in
      // Touched, or all pages would be the same page of zeros.
      for page in stride(from: 0, to: bytes & ~7, by: 4096) {
        span.storeBytes(of: UInt64(page), toByteOffset: page, as: UInt64.self)
      }
    }
  }

  /// Reads the memory once with all threads of a pool.
  ///
  /// Units: bytes per second.
  public func measure(_ pool: WorkerPool) -> Double {
    let bytes = buffer.byteCount
    let elapsed = ContinuousClock().measure {
      pool.run(chunks: (bytes + Self.piece - 1) / Self.piece) { chunk in
        let start = chunk * Self.piece
        let count = min(Self.piece, bytes - start)
        let sum = unsafe Kernels.best.functions.read(buffer.pointer + start, count)
        Self.keep(sum)
      }
    }
    return Double(bytes) / elapsed.seconds
  }

  /// Makes a result count as used.
  @inline(never) private static func keep(_ value: UInt64) {}
}

extension ComputeContext {
  /// Measures how fast threads read memory, with a probe of its own.
  ///
  /// Units: bytes per second, the median of the repetitions.
  public static func measureReadBandwidth(
    threads: Int, bytes: Int, repetitions: Int
  ) -> Double {
    let probe = BandwidthProbe(bytes: bytes)
    let pool = WorkerPool(threads: threads)
    let rates = (0..<max(1, repetitions)).map { _ in probe.measure(pool) }.sorted()
    return rates[rates.count / 2]
  }
}
