import TensorCore
import TensorKernels

/// The order-0 entropy of bytes: what no code for single bytes, such as Huffman's, can fall below
/// (docs/format.md §6).
enum OrderZero {
  /// The bound for one chunk in bytes, rounded up: the sum over its byte planes of the number of
  /// bytes times the entropy of their frequencies in this plane of this chunk.
  ///
  /// - Parameter width: byte planes; 1 where numbers are not taken apart.
  /// Precondition: at most 4 MiB.
  static func bound(of bytes: RawSpan, width: Int) -> Int {
    let tables = BytePlanes.histograms(bytes, width: width)
    var bits: UInt64 = 0
    for part in 0..<width {
      let counts = tables[part * 256..<(part + 1) * 256].filter { $0 > 0 }.map(UInt64.init)
      let total = counts.reduce(0, +)
      guard counts.count > 1 else { continue }
      // Σ n·log₂(N/n); each term is below 2²² · 22 · 2³².
      let whole = log2(total)
      bits += counts.reduce(0) { $0 + $1 * (whole - log2($1)) }
    }
    return Int((bits + (1 << 35) - 1) >> 35)
  }

  /// log₂ times 2³², from integers alone, so that every machine decides alike.
  ///
  /// Precondition: `value` is from 1 to 2³² − 1.
  static func log2(_ value: UInt64) -> UInt64 {
    precondition(value > 0 && value <= UInt32.max, "no logarithm of \(value)")
    let exponent = UInt64(63 - value.leadingZeroBitCount)
    // 1 ≤ mantissa · 2⁻³¹ < 2; each squaring yields one binary digit of the logarithm.
    var mantissa = value << (31 - exponent)
    var fraction: UInt64 = 0
    for _ in 0..<32 {
      mantissa = (mantissa * mantissa) >> 31
      fraction <<= 1
      if mantissa >= 1 << 32 {
        mantissa >>= 1
        fraction |= 1
      }
    }
    return exponent << 32 | fraction
  }
}
