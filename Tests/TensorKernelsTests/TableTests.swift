import CKernels
import TensorCore
import TestSupport
import Testing

/// The functions that always run with the best instruction set, called set by set through the C
/// table and compared with the reference.
@Suite struct TableTests {
  private static let fast: [(name: String, table: ck_kernels)] = [
    ("avx2", CK_AVX2), ("avx512", CK_AVX512), ("neon", CK_NEON),
  ].compactMap { name, index in
    unsafe ck_kernels_find(Int32(index)).map { unsafe (name, $0.pointee) }
  }

  private static func reference() throws -> ck_kernels {
    unsafe try #require(ck_kernels_find(Int32(CK_REFERENCE))).pointee
  }

  private static let lengths = [0, 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 100, 1000, 4099]

  /// Any bits at all: denormals, infinities and numbers that are none among them.
  private static func bits(_ count: Int, _ generator: inout SeededGenerator) -> [UInt32] {
    (0..<count).map { _ in
      let any = UInt32.random(in: 0...UInt32.max, using: &generator)
      // Near where halves overflow, and below where they vanish.
      return Bool.random(using: &generator) ? any : any & 0x8fff_ffff | 0x3000_0000
    }
  }

  @Test func conversions() throws {
    var generator = SeededGenerator(seed: 111)
    let reference = try Self.reference()
    for count in Self.lengths {
      let floats = Self.bits(count, &generator).map { Float(bitPattern: $0) }
      let halves = floats.map { UInt16(truncatingIfNeeded: $0.bitPattern >> 7) }
      for (name, table) in Self.fast {
        let narrowing = unsafe [
          (table.f32_to_f16, reference.f32_to_f16, Self.isHalf),
          (table.f32_to_bf16, reference.f32_to_bf16, Self.isBrainHalf),
        ]
        for index in 0..<2 {
          let kind = unsafe narrowing[index]
          var found = [UInt16](repeating: 0xaaaa, count: count + 1)
          var due = found
          unsafe kind.0(floats, &found, count)
          unsafe kind.1(floats, &due, count)
          for (one, other) in zip(found, due) {
            let areNone = unsafe !kind.2(one) && !kind.2(other)
            #expect(one == other || areNone, "\(name), \(count)")
          }
        }
        let widening = unsafe [
          (table.f16_to_f32, reference.f16_to_f32), (table.bf16_to_f32, reference.bf16_to_f32),
        ]
        for index in 0..<2 {
          let kind = unsafe widening[index]
          var found = [Float](repeating: -1, count: count + 1)
          var due = found
          unsafe kind.0(halves, &found, count)
          unsafe kind.1(halves, &due, count)
          for (one, other) in zip(found, due) {
            #expect(
              one.bitPattern == other.bitPattern || one.isNaN && other.isNaN, "\(name), \(count)")
          }
        }
        let isFinite = unsafe table.all_finite(floats, count)
        #expect((isFinite != 0) == floats.allSatisfy(\.isFinite), "\(name), \(count)")
      }
    }
  }

  private static func isHalf(_ bits: UInt16) -> Bool { !Float16(bitPattern: bits).isNaN }

  private static func isBrainHalf(_ bits: UInt16) -> Bool {
    !Float(bitPattern: UInt32(bits) << 16).isNaN
  }

  @Test(arguments: [Int32(0), 1])
  func stores(_ isHalf: Int32) throws {
    var generator = SeededGenerator(seed: 112)
    let reference = try Self.reference()
    for dimension in [1, 2, 10, 16, 17, 64, 80, 129] {
      let heads = 3
      let padded = (dimension + 15) / 16 * 16
      let capacity = 32
      let keys = (0..<heads * dimension).map { _ in NumberKind.mixed.next(&generator) }
      let values = (0..<heads * dimension).map { _ in NumberKind.mixed.next(&generator) }
      func stored(_ table: ck_kernels) -> ([UInt32], [UInt32]) {
        var keyMemory = [UInt32](repeating: 0, count: heads * capacity * dimension)
        var valueMemory = [UInt32](repeating: 0, count: heads * capacity * padded)
        unsafe keyMemory.withUnsafeMutableBytes { keyBytes in
          unsafe valueMemory.withUnsafeMutableBytes { valueBytes in
            guard let keyBase = keyBytes.baseAddress, let valueBase = valueBytes.baseAddress
            else { return }
            var cache = unsafe ck_cache(
              is_f16: isHalf, heads: heads, head_dimension: dimension, padded_dimension: padded,
              capacity: capacity, keys: keyBase, values: valueBase)
            // The last wraps around.
            for position in [0, 15, 16, 31, 37] {
              unsafe table.store(&cache, keys, values, position)
            }
          }
        }
        return (keyMemory, valueMemory)
      }
      let expected = stored(reference)
      #expect(expected.0.contains { $0 != 0 } && expected.1.contains { $0 != 0 })
      for (name, table) in Self.fast {
        let found = stored(table)
        #expect(found == expected, "\(name), dimension \(dimension)")
      }
    }
  }
}
