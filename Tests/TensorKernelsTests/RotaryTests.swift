import Foundation
import TensorCore
import TensorKernels
import TestSupport
import Testing

@Suite struct RotaryTests {
  private static func frequencies(_ dimensions: Int) -> [Float] {
    (0..<dimensions / 2).map { Float(pow(10000, -2 * Double($0) / Double(dimensions))) }
  }

  @Test(arguments: [false, true])
  func headsTurnByTheAnglesOfTheirPosition(_ interleaved: Bool) throws {
    var generator = SeededGenerator(seed: 51)
    for (dimension, rotary) in [(2, 2), (10, 10), (12, 4), (64, 64), (80, 32), (128, 128)] {
      let heads = 3
      let frequencies = Self.frequencies(rotary)
      let table = RotaryTable(
        inverseFrequencies: frequencies, positions: 200, interleaved: interleaved,
        attentionFactor: 1.5)
      #expect(table.rotaryDimensions == rotary)
      let x = Matrix.random(rows: 2, columns: heads * dimension, .ordinary, &generator)
      var results: [[UInt32]] = []
      for set in ComputeContext.available {
        let y = x.copy()
        try ComputeContext(threads: 1, instructionSet: set).rotate(
          y, heads: heads, headDimension: dimension, table: table, firstPosition: 198, rows: 2)
        results.append(y.bits())
        for row in 0..<2 {
          for head in 0..<heads {
            for k in 0..<rotary / 2 {
              let angle = Double(Float(198 + row) * frequencies[k])
              let first = head * dimension + (interleaved ? 2 * k : k)
              let second = head * dimension + (interleaved ? 2 * k + 1 : k + rotary / 2)
              let a = Double(x.row(row)[first])
              let b = Double(x.row(row)[second])
              let c = cos(angle) * 1.5
              let s = sin(angle) * 1.5
              #expect(abs(Double(y.row(row)[first]) - (a * c - b * s)) < 1e-6)
              #expect(abs(Double(y.row(row)[second]) - (b * c + a * s)) < 1e-6)
            }
            let rest = head * dimension + rotary..<(head + 1) * dimension
            #expect(y.row(row)[rest] == x.row(row)[rest])
          }
        }
      }
      for result in results { #expect(result == results[0]) }
    }
  }

  @Test func cosinesAndSinesAreExactToAFloat() throws {
    // One pair at a time: x = (1, 0) turns into (cosine, sine).
    for (frequency, first) in [(Float(1), 0), (1, 131_000), (0.37, 1_000_000), (6.1e-4, 77)] {
      let positions = first + 50
      let table = RotaryTable(
        inverseFrequencies: [frequency], positions: positions, interleaved: false)
      let x = Matrix(rows: 50, columns: 2)
      x.fill { _, column in column == 0 ? 1 : 0 }
      try ComputeContext(threads: 1).rotate(
        x, heads: 1, headDimension: 2, table: table, firstPosition: first, rows: 50)
      for row in 0..<50 {
        let angle = Double(Float(first + row) * frequency)
        #expect(x.row(row)[0] == Float(cos(angle)))
        #expect(x.row(row)[1] == Float(sin(angle)))
      }
    }
  }
}
