import Quantization
import TestSupport
import Testing

/// What every scheme promises.
@Suite struct SchemeConformanceTests {
  static let names = Schemes.all.map(\.name)
  /// The largest error of a weight, as a share of the largest weight of its row.
  static let bounds: [String: Float] = [
    "q4": 0.12, "q8": 0.005, "f16": 0.0005, "bf16": 0.004, "f32": 0,
  ]
  static let shapes = [(1, 1), (3, 16), (5, 31), (2, 32), (7, 33), (4, 172), (65, 64), (3, 1600)]

  @Test(arguments: names)
  func everySchemeIsFoundByItsName(name: String) throws {
    let scheme = try Schemes.named(name)
    #expect(scheme.name == name)
    #expect(scheme.format.rawValue == name)
  }

  @Test func unknownNamesAreRefused() {
    #expect(throws: QuantizationFault.self) { try Schemes.named("q5") }
  }

  @Test(arguments: names)
  func planesHaveTheLengthsTheyAnnounce(name: String) throws {
    let scheme = try Schemes.named(name)
    for (rows, columns) in Self.shapes {
      let planes = encoded(scheme, gaussian(rows * columns, seed: 1), rows, columns)
      let layouts = scheme.planes(rows: rows, columns: columns)
      #expect(planes.map(\.count) == layouts.map(\.byteCount))
      #expect(layouts.allSatisfy { $0.byteCount == rows * $0.bytesPerRow })
      #expect(planes.reduce(0) { $0 + $1.count } == scheme.byteCount(rows: rows, columns: columns))
    }
  }

  @Test(arguments: names)
  func errorsStayWithinBounds(name: String) throws {
    let scheme = try Schemes.named(name)
    let bound = try #require(Self.bounds[name])
    for (rows, columns) in Self.shapes {
      for seed in 1...4 as ClosedRange<UInt64> {
        let floats = gaussian(rows * columns, seed: seed)
        let result = try roundTrip(scheme, floats, rows, columns)
        for row in 0..<rows {
          let range = row * columns..<(row + 1) * columns
          let most = floats[range].map(abs).max() ?? 0
          let worst = range.map { abs(floats[$0] - result[$0]) }.max() ?? 0
          #expect(worst <= bound * most, "\(rows) x \(columns), seed \(seed), row \(row)")
        }
      }
    }
  }

  @Test(arguments: names)
  func rowsAreIndependent(name: String) throws {
    let scheme = try Schemes.named(name)
    for (rows, columns) in Self.shapes {
      let floats = gaussian(rows * columns, seed: 7)
      let whole = encoded(scheme, floats, rows, columns)
      let layouts = scheme.planes(rows: rows, columns: columns)
      for row in 0..<rows {
        let alone = encoded(
          scheme, Array(floats[row * columns..<(row + 1) * columns]), 1, columns)
        for (plane, layout) in layouts.enumerated() {
          let from = row * layout.bytesPerRow
          #expect(Array(whole[plane][from..<from + layout.bytesPerRow]) == alone[plane])
        }
      }
    }
  }

  @Test(arguments: names)
  func zeroRowsStayZero(name: String) throws {
    let scheme = try Schemes.named(name)
    for (rows, columns) in Self.shapes {
      // The middle row is not zero, its neighbours are.
      var floats = [Float](repeating: 0, count: rows * columns)
      let middle = rows / 2
      for column in 0..<columns where rows > 1 { floats[middle * columns + column] = 0.5 }
      let result = try roundTrip(scheme, floats, rows, columns)
      for index in floats.indices where index / columns != middle || rows == 1 {
        #expect(result[index] == 0)
      }
    }
  }

  @Test(arguments: names)
  func constantRowsAreNearlyExact(name: String) throws {
    let scheme = try Schemes.named(name)
    // Block scales of q4 come in steps: blocks that chose other codes differ a little.
    let bound: Float = name == "q4" ? 0.012 : 0.004
    for value in [1, -1, 0.37, -1234.5] as [Float] {
      for (rows, columns) in Self.shapes {
        let floats = [Float](repeating: value, count: rows * columns)
        let result = try roundTrip(scheme, floats, rows, columns)
        #expect(result.allSatisfy { abs($0 - value) <= bound * abs(value) }, "\(value)")
      }
    }
  }

  @Test(arguments: names)
  func valuesOfAnySizeSurvive(name: String) throws {
    let scheme = try Schemes.named(name)
    let bound = try #require(Self.bounds[name])
    let sizes: [Float] =
      name == "f16" ? [1e-3, 1, 1e4] : [0x1p-147, 0x1p-130, 1e-30, 1, 1e30, 1e38]
    for size in sizes {
      let floats = gaussian(3 * 48, seed: 3).map { max(-3, min(3, $0)) * size }
      let result = try roundTrip(scheme, floats, 3, 48)
      #expect(result.allSatisfy { $0.isFinite })
      // Below about 1e-33 there is no room for the scales: such weights may become zero.
      let allowed = max(bound * 3 * size, 1e-33)
      #expect(zip(floats, result).allSatisfy { abs($0 - $1) <= allowed }, "\(size)")
    }
  }

  @Test(arguments: names)
  func oneLargeWeightDoesNotDisturbOtherBlocks(name: String) throws {
    let scheme = try Schemes.named(name)
    var floats = gaussian(128, seed: 5)
    floats[40] = 300
    let result = try roundTrip(scheme, floats, 1, 128)
    #expect(abs(result[40] - 300) <= 300 * 0.03)
    // The block's own scale stays at a few units in the row's, however large the outlier.
    let bound: Float = name == "q4" ? 1.5 : 0.05
    for index in [0, 31, 64, 127] { #expect(abs(result[index] - floats[index]) <= bound) }
  }

  @Test(arguments: names)
  func decodingRefusesPlanesOfAnotherLength(name: String) throws {
    let scheme = try Schemes.named(name)
    let planes = encoded(scheme, gaussian(64, seed: 1), 2, 32)
    for index in planes.indices {
      var short = planes
      short[index].removeLast()
      #expect(throws: QuantizationFault.self) { try decoded(scheme, short, 2, 32) }
    }
    #expect(throws: QuantizationFault.self) { try decoded(scheme, planes + [[]], 2, 32) }
  }
}
