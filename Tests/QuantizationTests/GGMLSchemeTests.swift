import Foundation
import Quantization
import StrictJSON
import TensorCore
import TensorKernels
import TestSupport
import Testing

/// What the schemes of ggml promise; they are not for recipes, so `SchemeConformanceTests` leave
/// them out.
@Suite struct GGMLSchemeTests {
  static let names = Schemes.ggml.map(\.name)
  /// Signal to noise of normal weights, in decibels: what each type can do, less a little.
  static let qualities: [String: Double] = [
    "q4_0": 21.5, "q4_1": 22.8, "q5_0": 27.6, "q5_1": 29.1, "q8_0": 45, "iq4_nl": 22.3,
    "q4_k": 22.6, "q5_k": 28.6, "q6_k": 34.9, "iq4_xs": 22.2,
  ]

  private func scheme(_ name: String) throws -> any QuantizationScheme {
    try #require(Schemes.stored(named: name))
  }

  private func bytes(hexadecimal text: String) throws -> [UInt8] {
    let digits = Array(text.utf8)
    return try stride(from: 0, to: digits.count, by: 2).map { index in
      try #require(UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16))
    }
  }

  @Test func recipesDoNotChooseThem() {
    #expect(Self.names.count == 10)
    for name in Self.names {
      #expect(throws: QuantizationFault.self) { try Schemes.named(name) }
      #expect(Schemes.stored(named: name)?.format.rawValue == name)
    }
  }

  /// Values that the `gguf` package of Python gives the same blocks, bit for bit.
  @Test func decodingGivesTheGoldenValues() throws {
    let golden = try JSONParsing().parse(
      try InputFile.contents(of: Places.fixture("gguf/golden.json")))
    let cases = try #require(golden["cases"]?.array)
    #expect(cases.compactMap { $0["scheme"]?.string }.sorted() == Self.names.sorted())
    for entry in cases {
      let name = try #require(entry["scheme"]?.string)
      let blocks = try bytes(hexadecimal: try #require(entry["blocks"]?.string))
      let expected = try bytes(hexadecimal: try #require(entry["values"]?.string))
      let found = try decoded(try scheme(name), [blocks], 1, expected.count / 4)
      let bits = stride(from: 0, to: expected.count, by: 4).map { index in
        (0..<4).reduce(UInt32(0)) { $0 | UInt32(expected[index + $1]) << UInt32(8 * $1) }
      }
      #expect(found.map(\.bitPattern) == bits, "\(name)")
    }
  }

  /// The same with random blocks, where Python has the package.
  @Test func decodingEqualsTheGGUFPackage() throws {
    let place = try TemporaryDirectory()
    var generator = SeededGenerator(seed: 31)
    for name in Self.names {
      let block = try #require(scheme(name).format.ggmlBlock)
      let count = 4000
      let blocks = (0..<count * block.bytes).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      try Data(blocks).write(to: URL(fileURLWithPath: place.appending("blocks")))
      let run = try ProgramRun.run(
        "/usr/bin/env", ["python3", "-c", Self.reader, name.uppercased(), place.path])
      if run.status == 7 || run.status == 127 {
        print("no gguf package for python3 here: \(name) was compared with golden values only")
        continue
      }
      try #require(run.status == 0, "\(run.errors)")
      let expected = try InputFile.contents(of: place.appending("values"))
      let found = try decoded(try scheme(name), [blocks], count, block.columns)
      var different = 0
      for (index, value) in found.enumerated() {
        let bits = (0..<4).reduce(UInt32(0)) {
          $0 | UInt32(expected[4 * index + $1]) << UInt32(8 * $1)
        }
        let theirs = Float(bitPattern: bits)
        if value.bitPattern != bits, !(value.isNaN && theirs.isNaN) { different += 1 }
      }
      #expect(different == 0, "\(name)")
    }
  }

  private static let reader = """
    import sys
    try:
        import gguf, numpy
    except ImportError:
        sys.exit(7)
    kind = gguf.GGMLQuantizationType[sys.argv[1]]
    width, size = gguf.GGML_QUANT_SIZES[kind]
    raw = numpy.fromfile(sys.argv[2] + "/blocks", dtype=numpy.uint8).reshape(-1, size)
    with numpy.errstate(all="ignore"):
        values = gguf.dequantize(raw, kind)
    values.astype("<f4").tofile(sys.argv[2] + "/values")
    """

  @Test(arguments: names)
  func planesHaveTheLengthsTheyAnnounce(name: String) throws {
    let scheme = try scheme(name)
    for (rows, columns) in [(1, 1), (3, 256), (5, 300), (2, 512)] {
      let planes = encoded(scheme, gaussian(rows * columns, seed: 1), rows, columns)
      #expect(planes.map(\.count) == scheme.planes(rows: rows, columns: columns).map(\.byteCount))
      var short = planes
      short[0].removeLast()
      #expect(throws: QuantizationFault.self) { try decoded(scheme, short, rows, columns) }
    }
  }

  @Test(arguments: names)
  func encodingIsAsGoodAsTheTypeAllows(name: String) throws {
    let floats = gaussian(64 * 1024, seed: 5)
    let result = try roundTrip(try scheme(name), floats, 64, 1024)
    var power = 0.0
    var error = 0.0
    for (weight, found) in zip(floats, result) {
      power += Double(weight) * Double(weight)
      error += Double(weight - found) * Double(weight - found)
    }
    let decibels = 10 * log10(power / error)
    #expect(decibels > (try #require(Self.qualities[name])), "\(name): \(decibels) dB")
  }

  /// What a type can hold comes back as it is: encoding what was decoded changes no value much.
  @Test(arguments: names)
  func zerosConstantsAndOutliersSurvive(name: String) throws {
    let scheme = try scheme(name)
    #expect(try roundTrip(scheme, [Float](repeating: 0, count: 512), 2, 256).allSatisfy { $0 == 0 })
    for value in [1, -1, 0.37, -250] as [Float] {
      let result = try roundTrip(scheme, [Float](repeating: value, count: 256), 1, 256)
      #expect(result.allSatisfy { abs($0 - value) <= 0.01 * abs(value) }, "\(name) \(value)")
    }
    for size in [1e-30, 1e-6, 1e3] as [Float] {
      let result = try roundTrip(scheme, gaussian(512, seed: 4).map { $0 * size }, 2, 256)
      #expect(result.allSatisfy { $0.isFinite && abs($0) < 6 * size + 1e-6 })
    }
    let huge = try roundTrip(scheme, gaussian(256, seed: 4).map { $0 * 1e30 }, 1, 256)
    #expect(huge.allSatisfy { $0.isFinite })
  }

  @Test(arguments: names)
  func rowsAreIndependent(name: String) throws {
    let scheme = try scheme(name)
    let floats = gaussian(3 * 512, seed: 7)
    let whole = encoded(scheme, floats, 3, 512)[0]
    for row in 0..<3 {
      let alone = encoded(scheme, Array(floats[row * 512..<(row + 1) * 512]), 1, 512)[0]
      #expect(Array(whole[row * alone.count..<(row + 1) * alone.count]) == alone)
    }
  }
}
