import Quantization
import TestSupport

func encoded(
  _ scheme: any QuantizationScheme, _ floats: [Float], _ rows: Int, _ columns: Int,
  _ options: EncodingOptions = .standard
) -> [[UInt8]] {
  var planes: [[UInt8]] = []
  scheme.encode(
    floats.span, rowCount: rows, columns: columns, options: options, into: &planes)
  return planes
}

func decoded(
  _ scheme: any QuantizationScheme, _ planes: [[UInt8]], _ rows: Int, _ columns: Int
) throws -> [Float] {
  var result = [Float](repeating: .nan, count: rows * columns)
  var span = result.mutableSpan
  try scheme.decode(planes: planes, rowCount: rows, columns: columns, into: &span)
  return result
}

/// Floats there and back.
func roundTrip(
  _ scheme: any QuantizationScheme, _ floats: [Float], _ rows: Int, _ columns: Int
) throws -> [Float] {
  try decoded(scheme, encoded(scheme, floats, rows, columns), rows, columns)
}

/// Numbers that are nearly normally distributed, the same on every system.
func gaussian(_ count: Int, seed: UInt64) -> [Float] {
  var generator = SeededGenerator(seed: seed)
  return (0..<count).map { _ in
    (0..<12).reduce(Float(-6)) { sum, _ in sum + Float(generator.next() >> 40) / 16_777_216 }
  }
}
