import TensorKernels

/// What blocks of ggml's mean, written down once more: by bits and places, apart from the kernels'
/// own reading.
struct GGMLReference {
  let format: WeightFormat
  let block: ArraySlice<UInt8>

  private func byte(_ index: Int) -> Int { Int(block[block.startIndex + index]) }

  private func half(_ index: Int) -> Float {
    Float(Float16(bitPattern: UInt16(byte(index) | byte(index + 1) << 8)))
  }

  /// The `index`-th nibble where the first half of `count` bytes' nibbles are their low ones.
  private func nibble(_ base: Int, _ index: Int, of count: Int) -> Int {
    index < count ? byte(base + index) & 15 : byte(base + index - count) >> 4
  }

  private static let table: [Int] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
  ]

  /// Six bits from the twelve bytes that q4_k and q5_k have for scales (0…7) and minima (8…15).
  private func sixBits(_ index: Int) -> Int {
    let isMinimum = index >= 8
    let j = index % 8
    if j < 4 { return byte(4 + j + (isMinimum ? 4 : 0)) & 63 }
    let low = isMinimum ? byte(8 + j) >> 4 : byte(8 + j) & 15
    return low + 16 * (byte(j + (isMinimum ? 4 : 0)) >> 6)
  }

  func value(_ column: Int) -> Float {
    switch format {
    case .q4_0: return half(0) * Float(nibble(2, column, of: 16) - 8)
    case .q4_1: return half(0) * Float(nibble(4, column, of: 16)) + half(2)
    case .q5_0:
      let fifth = byte(2 + column / 8) >> (column % 8) & 1
      return half(0) * Float(nibble(6, column, of: 16) + 16 * fifth - 16)
    case .q5_1:
      let fifth = byte(4 + column / 8) >> (column % 8) & 1
      return half(0) * Float(nibble(8, column, of: 16) + 16 * fifth) + half(2)
    case .q8_0: return half(0) * Float(Int8(truncatingIfNeeded: byte(2 + column)))
    case .iq4_nl: return half(0) * Float(Self.table[nibble(2, column, of: 16)])
    case .q4_k, .q5_k:
      let base = (format == .q4_k ? 16 : 48) + column / 64 * 32
      var code = nibble(base, column % 64, of: 32)
      if format == .q5_k { code += 16 * (byte(16 + column % 32) >> (column / 32) & 1) }
      let step = half(0) * Float(sixBits(column / 32))
      return step * Float(code) - half(2) * Float(sixBits(8 + column / 32))
    case .q6_k:
      let place = column % 128
      let low = nibble(column / 128 * 64, place, of: 64)
      let high = byte(128 + column / 128 * 32 + place % 32) >> (place / 32 * 2) & 3
      let scale = Int8(truncatingIfNeeded: byte(192 + column / 16))
      return half(208) * Float(scale) * Float(low + 16 * high - 32)
    default:
      let part = column / 32
      let low = byte(4 + part / 2) >> (part % 2 * 4) & 15
      let high = (byte(2) | byte(3) << 8) >> (2 * part) & 3
      let code = nibble(8 + 16 * part, column % 32, of: 16)
      return half(0) * Float(low + 16 * high - 32) * Float(Self.table[code])
    }
  }
}
