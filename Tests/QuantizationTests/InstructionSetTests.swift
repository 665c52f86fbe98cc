import Foundation
import Quantization
import TensorKernels
import TestSupport
import Testing

/// Every instruction set gives the bytes of the plain encoders, whatever the weights are.
@Suite struct InstructionSetTests {
  private typealias Scheme = any QuantizationScheme

  private func pairs() throws -> [(name: String, reference: Scheme, tested: Scheme)] {
    let q4 = try #require(Q4Scheme(.reference))
    let q8 = try #require(Q8Scheme(.reference))
    return InstructionSet.available.filter { $0 != .reference }.flatMap { set in
      var found: [(String, Scheme, Scheme)] = []
      if let tested = Q4Scheme(set) { found.append(("q4 \(set)", q4, tested)) }
      if let tested = Q8Scheme(set) { found.append(("q8 \(set)", q8, tested)) }
      return found
    }
  }

  /// Weights of many kinds: usual, tiny, huge, sparse, of all magnitudes, with outliers.
  private func weights(_ kind: Int, _ rows: Int, _ columns: Int, seed: UInt64) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    let plain = gaussian(rows * columns, seed: seed)
    return plain.enumerated().map { index, x in
      switch kind {
      case 1: x * 0x1p-140
      case 2: x * 0x1p124
      case 3: index < columns || generator.next() % 3 != 0 ? 0 : x
      case 4: x * Float(sign: .plus, exponent: Int(generator.next() % 90) - 60, significand: 1)
      case 5: generator.next() % 17 == 0 ? x * 300 : x
      case 6: index % 5 == 0 ? 1 : -1
      default: x
      }
    }
  }

  private func importance(_ columns: Int, seed: UInt64) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    return (0..<columns).map { _ in
      let number = Float(generator.next() >> 40)
      return generator.next() % 9 == 0
        ? 0
        : number * Float(sign: .plus, exponent: Int(generator.next() % 20) - 30, significand: 1)
    }
  }

  @Test(arguments: 0..<7)
  func bytesAreThoseOfTheReference(kind: Int) throws {
    let shapes = [(1, 1), (3, 17), (33, 48), (5, 172), (40, 100), (2, 1605)]
    for (number, (rows, columns)) in shapes.enumerated() {
      let floats = weights(kind, rows, columns, seed: UInt64(10 * kind + number + 1))
      let given = importance(columns, seed: UInt64(number + 99))
      for effort in Effort.allCases where effort != .best || number < 3 {
        for importance in [nil, given] {
          let options = EncodingOptions(effort: effort, importance: importance)
          for (name, reference, tested) in try pairs() {
            let expected = encoded(reference, floats, rows, columns, options)
            #expect(
              encoded(tested, floats, rows, columns, options) == expected,
              "\(name), \(rows) x \(columns), \(effort), importance \(importance != nil)")
            #expect(
              try decoded(tested, expected, rows, columns)
                == decoded(reference, expected, rows, columns))
          }
        }
      }
    }
  }

  @Test func sumsOfSquaresAreThoseOfTheReference() {
    let weights = gaussian(1003, seed: 1)
    let values = gaussian(1003, seed: 2)
    var sums = SquareSums()
    sums.add(weights.span, values.span)
    var power = [Double](repeating: 0, count: 8)
    var error = power
    for (index, (weight, value)) in zip(weights, values).enumerated() {
      let difference = Double(weight) - Double(value)
      power[index % 8] += Double(weight) * Double(weight)
      error[index % 8] += difference * difference
    }
    #expect(sums.power == power.reduce(0, +) && sums.errorPower == error.reduce(0, +))
  }
}
