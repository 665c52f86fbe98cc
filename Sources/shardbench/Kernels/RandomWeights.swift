import TensorCore
import TensorKernels

/// Canonical planes of one matrix with random bytes that mean sound weights, to be packed as often
/// as memory has to be filled.
struct RandomWeights {
  let format: WeightFormat
  let rows: Int
  let columns: Int
  private let planes: [AlignedBuffer]

  init(_ format: WeightFormat, rows: Int, columns: Int, seed: UInt64 = 1) {
    self.format = format
    self.rows = rows
    self.columns = columns
    var state = seed
    planes = format.planeBytesPerRow(columns: columns).enumerated().map { index, perRow in
      let buffer = AlignedBuffer(byteCount: (perRow * rows + 7) & ~7)
      let pattern = Pattern(format, plane: index)
      buffer.withMutableElements(of: UInt64.self) { words in
        for place in words.indices {
          words[place] = SplitMix.next(&state) & pattern.kept | pattern.set
        }
      }
      return buffer
    }
  }

  /// What makes random bits valid: bits that stay random, and bits that are one.
  private struct Pattern {
    var kept = UInt64.max
    var set: UInt64 = 0

    init(_ format: WeightFormat, plane: Int) {
      switch (format, plane) {
      // Sign, low exponent bits and fraction: magnitudes of about 1/100.
      case (.f16, _): (kept, set) = (0x8fff_8fff_8fff_8fff, 0x2000_2000_2000_2000)
      case (.bf16, _): (kept, set) = (0x81ff_81ff_81ff_81ff, 0x3c00_3c00_3c00_3c00)
      case (.f32, _), (.q8, 0), (.q4, 0):
        (kept, set) = (0x81ff_ffff_81ff_ffff, 0x3c00_0000_3c00_0000)
      // -128 is no code.
      case (.q8, 2): set = 0x0101_0101_0101_0101
      case (.q8, _), (.q4, _): break
      // Scales of all sizes: sums may overflow, which costs no other time.
      default: kept = 0xbbbb_bbbb_bbbb_bbbb
      }
    }
  }

  /// A packed copy.
  func packed(with pool: WorkerPool) -> PackedMatrix {
    let matrix = PackedMatrix(format, rows: rows, columns: columns)
    let rowsPerChunk = 64
    for (plane, perRow) in format.planeBytesPerRow(columns: columns).enumerated() {
      pool.run(chunks: (rows + rowsPerChunk - 1) / rowsPerChunk) { chunk in
        let first = chunk * rowsPerChunk
        let range = first..<min(first + rowsPerChunk, rows)
        planes[plane].withBytes { bytes in
          let part = bytes.extracting(perRow * range.lowerBound..<perRow * range.upperBound)
          matrix.store(plane: plane, rows: range, part)
        }
      }
    }
    return matrix
  }
}
