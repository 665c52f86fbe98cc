import CKernels
import TensorCore

extension ComputeContext {
  /// Measures how fast threads read memory: the roof of everything that streams weights.
  ///
  /// Units: bytes per second, the median of the repetitions. `bytes` should be far beyond the
  /// caches.
  public static func measureReadBandwidth(
    threads: Int, bytes: Int, repetitions: Int
  ) -> Double {
    let buffer = AlignedBuffer(byteCount: bytes)
    buffer.withMutableBytes { span in
      // Touched, or all pages would be the same page of zeros.
      for page in stride(from: 0, to: bytes & ~7, by: 4096) {
        span.storeBytes(of: UInt64(page), toByteOffset: page, as: UInt64.self)
      }
    }
    let pool = WorkerPool(threads: threads)
    let kernels = Kernels.best
    let piece = 1 << 20
    let chunks = (bytes + piece - 1) / piece
    var rates: [Double] = []
    let clock = ContinuousClock()
    for _ in 0..<max(1, repetitions) {
      let elapsed = clock.measure {
        pool.run(chunks: chunks) { chunk in
          let start = chunk * piece
          let count = min(piece, bytes - start)
          let sum = unsafe kernels.functions.read(buffer.pointer + start, count)
          Self.keep(sum)
        }
      }
      let (seconds, attoseconds) = elapsed.components
      rates.append(Double(bytes) / (Double(seconds) + Double(attoseconds) * 1e-18))
    }
    rates.sort()
    return rates[rates.count / 2]
  }

  /// Makes a result count as used.
  @inline(never) private static func keep(_ value: UInt64) {}
}
