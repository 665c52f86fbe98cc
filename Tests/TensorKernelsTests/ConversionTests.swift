import TensorCore
import TensorKernels
import TestSupport
import Testing

@Suite struct ConversionTests {
  @Test func everyHalfConvertsBothWays() {
    let halves = (0..<65536).map { UInt16($0) }
    let floats = Self.widen(halves, FloatConversion.f16ToF32)
    for (half, float) in zip(halves, floats) {
      let exact = Float(Float16(bitPattern: half))
      #expect(float.bitPattern == exact.bitPattern || (float.isNaN && exact.isNaN))
    }
    let back = Self.narrow(floats, FloatConversion.f32ToF16)
    for (half, other) in zip(halves, back) where !Float16(bitPattern: half).isNaN {
      #expect(half == other)
    }
    let wide = Self.widen(halves, FloatConversion.bf16ToF32)
    for (half, float) in zip(halves, wide) { #expect(float.bitPattern == UInt32(half) << 16) }
    let narrow = Self.narrow(wide, FloatConversion.f32ToBF16)
    for (half, other) in zip(halves, narrow) where !wide[Int(half)].isNaN {
      #expect(half == other)
    }
  }

  @Test func floatsRoundToNearestEven() {
    var generator = SeededGenerator(seed: 61)
    var floats: [Float] = [
      65504, 65519.99, 65520, -65520, 1e-8, 2.98e-8, 2.99e-8, 6.1e-5, .infinity,
    ]
    for _ in 0..<20_001 {
      let bits = UInt32.random(in: 0...UInt32.max, using: &generator)
      floats.append(Float(bitPattern: bits))
      floats.append(NumberKind.mixed.next(&generator))
    }
    let halves = Self.narrow(floats, FloatConversion.f32ToF16)
    for (float, half) in zip(floats, halves) {
      let found = Float16(bitPattern: half)
      #expect(found.bitPattern == Float16(float).bitPattern || (found.isNaN && float.isNaN))
    }
    for (float, half) in zip(floats, Self.narrow(floats, FloatConversion.f32ToBF16)) {
      let found = Float(bitPattern: UInt32(half) << 16)
      let below = Float(bitPattern: float.bitPattern & 0xffff_0000)
      let above = Float(bitPattern: (float.bitPattern & 0xffff_0000) &+ 0x10000)
      if float.isNaN {
        #expect(found.isNaN)
      } else if float.bitPattern & 0xffff > 0x8000 {
        #expect(found == above)
      } else if float.bitPattern & 0xffff < 0x8000 {
        #expect(found == below)
      } else {
        #expect(found.bitPattern & 0x10000 == 0)
      }
    }
  }

  @Test func numbersThatAreNoneAreFound() {
    for count in [0, 1, 15, 16, 40, 100] {
      var values = [Float](repeating: 3e38, count: count)
      let sound = FloatConversion.allFinite(values.span)
      #expect(sound)
      for index in 0..<count {
        for bad in [Float.nan, .infinity, -.infinity] {
          values[index] = bad
          let found = !FloatConversion.allFinite(values.span)
          #expect(found, "\(bad) at \(index) of \(count)")
        }
        values[index] = -3e38
      }
    }
  }

  private static func widen(
    _ halves: [UInt16], _ convert: (RawSpan, inout MutableSpan<Float>) -> Void
  ) -> [Float] {
    var floats = [Float](repeating: 0, count: halves.count)
    var target = floats.mutableSpan
    unsafe convert(halves.span.bytes, &target)
    return floats
  }

  private static func narrow(
    _ floats: [Float], _ convert: (Span<Float>, inout MutableRawSpan) -> Void
  ) -> [UInt16] {
    var halves = [UInt16](repeating: 0, count: floats.count)
    var span = halves.mutableSpan
    var target = unsafe span.mutableBytes
    convert(floats.span, &target)
    return halves
  }
}
