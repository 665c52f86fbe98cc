import Quantization
import TestSupport
import Testing

/// How well the encoders do, and that their bytes never change unnoticed.
@Suite struct EncoderTests {
  /// Signal to noise, as a power ratio.
  private func ratio(
    _ scheme: any QuantizationScheme, _ effort: Effort = .standard
  ) throws -> Double {
    let floats = gaussian(64 * 2048, seed: 11)
    let planes = encoded(scheme, floats, 64, 2048, EncodingOptions(effort: effort))
    let result = try decoded(scheme, planes, 64, 2048)
    var power = 0.0
    var error = 0.0
    for (weight, value) in zip(floats, result) {
      power += Double(weight) * Double(weight)
      error += Double(weight - value) * Double(weight - value)
    }
    return power / error
  }

  @Test func fourBitsReachTheQualityOfTheDesign() throws {
    // 24.2 dB.
    #expect(try ratio(Schemes.q4) > 263)
  }

  @Test func eightBitsReachTheQualityOfTheDesign() throws {
    // 46 dB.
    #expect(try ratio(Schemes.q8) > 39_810)
  }

  @Test func moreEffortLosesLess() throws {
    for scheme in [Schemes.q4, Schemes.q8] {
      let ratios = try [Effort.fast, .standard, .best].map { try ratio(scheme, $0) }
      #expect(ratios == ratios.sorted() && ratios[1] > 1.03 * ratios[0])
    }
  }

  @Test func importantColumnsLoseLess() throws {
    let floats = gaussian(64 * 512, seed: 4)
    let importance = (0..<512).map { $0 % 16 == 3 ? Float(100) : 1 }
    func errors(_ options: EncodingOptions) throws -> (important: Double, others: Double) {
      let values = try decoded(Schemes.q4, encoded(Schemes.q4, floats, 64, 512, options), 64, 512)
      var sums = (important: 0.0, others: 0.0)
      for (index, value) in values.enumerated() {
        let error = Double(value - floats[index]) * Double(value - floats[index])
        if index % 16 == 3 { sums.important += error } else { sums.others += error }
      }
      return sums
    }
    let plain = try errors(.standard)
    let weighted = try errors(EncodingOptions(importance: importance))
    #expect(weighted.important < 0.3 * plain.important)
    #expect(weighted.others < 2 * plain.others)
  }

  @Test func bitsPerWeightAreThoseOfTheFormats() {
    #expect(Schemes.q4.bitsPerWeight(rows: 4096, columns: 4096) == 4.5 + 32.0 / 4096)
    #expect(Schemes.q8.bitsPerWeight(rows: 4096, columns: 4096) == 8.25 + 32.0 / 4096)
    #expect(Schemes.q4.bitsPerWeight(rows: 1, columns: 1600) == 4.5 + 32.0 / 1600)
  }

  /// The bytes are part of the promise: the same on every machine, compiler and number of
  /// threads. A change here means a new encoder version in `QuantizeProgress`.
  @Test(arguments: [
    ("q4", UInt64(0xB28D_E7B4_A340_5087)), ("q8", UInt64(0x3E44_4C5B_9E0E_2706)),
  ])
  func bytesAreThoseRecorded(name: String, recorded: UInt64) throws {
    let floats = gaussian(33 * 172, seed: 2026)
    let hash = encoded(try Schemes.named(name), floats, 33, 172).joined()
      .reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    #expect(hash == recorded, "\(name) now gives 0x\(String(hash, radix: 16))")
  }

  @Test func valuesFollowTheFormat() throws {
    // Row scale 2; block scale byte 201: l = 200 - 127 = 73, grid 1; byte 128: l = 1, grid 0.
    var nibbles = [UInt8](repeating: 0x88, count: 16)
    nibbles[0] = 0xF0
    let four = try decoded(Schemes.q4, [[0, 0, 0, 64], [201, 128], nibbles], 1, 32)
    #expect(four[0] == 2 * 73 * -110)
    #expect(four[1] == 2 * 73 * 122)
    #expect(four[2] == 2 * 73 * 8)
    #expect(four[16] == 2 * 1 * 2)

    var codes = [UInt8](repeating: 0, count: 32)
    codes[5] = UInt8(bitPattern: -127)
    let eight = try decoded(Schemes.q8, [[0, 0, 0, 64], [255], codes], 1, 32)
    #expect(eight[5] == 2 * 255 * -127)
    #expect(eight[4] == 0)
  }

  @Test func gridsAreSortedAndEven() throws {
    let nibbles: [UInt8] = [0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE]
    for grid in [128, 129] as [UInt8] {
      let values = try decoded(
        Schemes.q4, [[0, 0, 128, 63], [grid, grid], nibbles + nibbles], 1, 32)
      let levels = Array(values[..<16])
      #expect(levels == levels.sorted())
      #expect(levels.allSatisfy { abs($0) <= 127 })
      #expect(levels.allSatisfy { $0.truncatingRemainder(dividingBy: 2) == 0 })
    }
  }

  @Test func paddingHasOneCode() {
    let four = encoded(Schemes.q4, gaussian(3 * 17, seed: 9), 3, 17)
    for row in 0..<3 {
      #expect(four[2][row * 16 + 8] >> 4 == 8)
      #expect(four[2][row * 16 + 9..<row * 16 + 16].allSatisfy { $0 == 0x88 })
    }
    let eight = encoded(Schemes.q8, gaussian(3 * 17, seed: 9), 3, 17)
    for row in 0..<3 { #expect(eight[2][row * 32 + 17..<row * 32 + 32].allSatisfy { $0 == 0 }) }
  }

  @Test func halfWidthsRoundToNearestEven() throws {
    let floats: [Float] = [1 + 1 / 2048, 1 + 3 / 2048, 1 + 1 / 2048 + 1e-6, 6e-8, 65_519]
    #expect(
      try roundTrip(Schemes.f16, floats, 1, 5) == [1, 1 + 2 / 1024, 1 + 1 / 1024, 0x1p-24, 65_504])
    let wide: [Float] = [1 + 1 / 256, 1 + 3 / 256, 3e38]
    #expect(try roundTrip(Schemes.bf16, wide, 1, 3).prefix(2) == [1, 1 + 4 / 256])
  }
}
