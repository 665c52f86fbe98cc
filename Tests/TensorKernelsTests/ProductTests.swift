import TensorCore
import TensorKernels
import TestSupport
import Testing

@Suite struct ProductTests {
  static let shapes: [(rows: Int, columns: Int)] = [
    (1, 1), (2, 3), (5, 10), (15, 31), (16, 32), (17, 33), (31, 64), (33, 172), (48, 95),
    (64, 256), (7, 1023), (16, 1056), (35, 2080),
  ]

  @Test(arguments: WeightFormat.allCases)
  func everyInstructionSetEqualsTheReference(_ format: WeightFormat) throws {
    var generator = SeededGenerator(seed: 11)
    let reference = try referenceContext()
    let fast = try fastContexts()
    for shape in Self.shapes {
      for kind in NumberKind.allCases {
        let weights = CanonicalWeights(
          format, rows: shape.rows, columns: shape.columns,
          kind == .extremes ? .ordinary : kind, &generator
        ).packed()
        let tokens = [1, 2, 3, 5, 8, 13].randomElement(using: &generator) ?? 1
        let x = Matrix.random(rows: tokens, columns: shape.columns, kind, &generator)
        let bias =
          Bool.random(using: &generator)
          ? Matrix.random(rows: 1, columns: shape.rows, kind, &generator) : nil
        let expected = reference.product(weights, x, bias: bias, rows: tokens).bits()
        for context in fast {
          let found = context.product(weights, x, bias: bias, rows: tokens).bits()
          #expect(
            found == expected,
            "\(context.instructionSet) \(shape) \(kind) \(tokens) tokens")
        }
      }
    }
  }

  /// Weights and activations all at ±127 with the largest scales: no sum of bytes may saturate.
  @Test(arguments: [WeightFormat.q8, .q4])
  func nothingSaturates(_ format: WeightFormat) throws {
    var generator = SeededGenerator(seed: 12)
    for signs in 0..<8 {
      var weights = CanonicalWeights(format, rows: 16, columns: 128, .ordinary, &generator)
      weights.setFloats(plane: 0) { 1 }
      // The largest level, and the codes of the grids' ends: -116 and, in grid 1, 122.
      for i in weights.planes[1].indices {
        weights.planes[1][i] = format == .q8 ? 255 : signs & 1 == 0 ? 254 : 255
      }
      let low: UInt8 = format == .q8 ? 129 : 0x00
      let high: UInt8 = format == .q8 ? 127 : 0xff
      for i in weights.planes[2].indices {
        weights.planes[2][i] = signs & 1 == 0 ? low : high
      }
      let x = Matrix(rows: 9, columns: 128)
      func sign(_ column: Int) -> Int {
        (signs & 2 == 0 || column % 2 == 0) == (signs & 4 == 0) ? 1 : -1
      }
      x.fill { _, column in Float(sign(column)) }
      let packed = weights.packed()
      for context in try fastContexts() + [referenceContext()] {
        for rows in [1, 4, 9] {
          let y = context.product(packed, x, rows: rows)
          for row in 0..<16 {
            let exact = (0..<128).reduce(0) {
              $0 + weights.integer(row, $1) * sign($1) * 127
            }
            let expected = Double(exact) / 127
            let found = y.row(rows - 1)[row]
            #expect(abs(Double(found) - expected) <= abs(expected) * 1e-6)
          }
        }
      }
    }
  }

  @Test(arguments: WeightFormat.allCases)
  func aBatchEqualsItsRowsOneByOne(_ format: WeightFormat) throws {
    var generator = SeededGenerator(seed: 13)
    let weights = CanonicalWeights(format, rows: 40, columns: 1100, .ordinary, &generator).packed()
    let rows = 139
    let x = Matrix.random(rows: rows, columns: 1100, .ordinary, &generator)
    for set in ComputeContext.available {
      let context = try ComputeContext(threads: 1, instructionSet: set)
      let together = context.product(weights, x, rows: rows)
      for row in [0, 1, 7, 8, 127, 128, 135, 138] {
        let alone = Matrix(rows: 1, columns: 1100)
        context.copyRow(x, row, to: alone)
        let result = context.product(weights, alone, rows: 1)
        #expect(result.row(0) == together.row(row), "\(set) row \(row)")
      }
    }
  }

  @Test(arguments: WeightFormat.allCases)
  func threadsDoNotChangeBits(_ format: WeightFormat) throws {
    var generator = SeededGenerator(seed: 14)
    let weights = CanonicalWeights(format, rows: 333, columns: 544, .ordinary, &generator).packed()
    let x = Matrix.random(rows: 20, columns: 544, .mixed, &generator)
    for rows in [1, 20] {
      let results = try [1, 2, 3].map { threads in
        try ComputeContext(threads: threads).product(weights, x, rows: rows).bits()
      }
      #expect(results[0] == results[1])
      #expect(results[0] == results[2])
    }
  }

  /// Against a plain sum in double precision over the same rounded activations.
  @Test(arguments: WeightFormat.allCases)
  func aProductIsTheSumOfItsProducts(_ format: WeightFormat) throws {
    var generator = SeededGenerator(seed: 15)
    let weights = CanonicalWeights(format, rows: 19, columns: 300, .ordinary, &generator)
    let x = Matrix.random(rows: 3, columns: 300, .ordinary, &generator)
    let bias = Matrix.random(rows: 1, columns: 19, .ordinary, &generator)
    let y = try ComputeContext(threads: 1).product(weights.packed(), x, bias: bias, rows: 3)
    for token in 0..<3 {
      let values = x.row(token)
      let rounded =
        switch format {
        case .q4: Self.rounded(values, limit: 127)
        case .q8: Self.rounded(values, limit: 4095)
        default: values.map(Double.init)
        }
      for row in 0..<19 {
        var sum = Double(bias.row(0)[row])
        var magnitude = abs(sum)
        for column in 0..<300 {
          let term = Double(weights.value(row, column)) * rounded[column]
          sum += term
          magnitude += abs(term)
        }
        #expect(abs(Double(y.row(token)[row]) - sum) <= magnitude * 3e-6, "row \(row)")
      }
    }
  }

  /// Activations as integers per 32 columns, as docs/kernels.md defines them.
  private static func rounded(_ values: [Float], limit: Float) -> [Double] {
    stride(from: 0, to: values.count, by: 32).flatMap { first in
      let block = values[first..<min(first + 32, values.count)]
      let largest = block.map(\.magnitude).max() ?? 0
      let scale = largest / limit
      let inverse = limit / largest
      return block.map { Double(scale) * Double(($0 * inverse).rounded(.toNearestOrEven)) }
    }
  }

  /// Blocks of ggml's multiply as the floats do that they decode to, bit for bit.
  @Test(arguments: WeightFormat.allCases.filter(\.isGGML))
  func blocksMultiplyAsTheirFloats(_ format: WeightFormat) throws {
    var generator = SeededGenerator(seed: 17)
    for (rows, columns) in [(21, 32), (40, 512), (7, 300)] {
      let weights = CanonicalWeights(format, rows: rows, columns: columns, .ordinary, &generator)
      var floats = CanonicalWeights(.f32, rows: rows, columns: columns, .zeros, &generator)
      var place = 0
      floats.setFloats(plane: 0) {
        defer { place += 1 }
        return weights.value(place / columns, place % columns)
      }
      let x = Matrix.random(rows: 70, columns: columns, .ordinary, &generator)
      for context in try fastContexts() + [referenceContext()] {
        for tokens in [1, 3, 70] {
          #expect(
            context.product(weights.packed(), x, rows: tokens).bits()
              == context.product(floats.packed(), x, rows: tokens).bits(),
            "\(context.instructionSet) \(rows)x\(columns) \(tokens) tokens")
        }
      }
    }
  }

  @Test func anEmptyProductIsItsBias() throws {
    for set in ComputeContext.available {
      let context = try ComputeContext(threads: 1, instructionSet: set)
      for format in WeightFormat.allCases {
        let weights = PackedMatrix(format, rows: 3, columns: 0)
        let x = Matrix(rows: 2, columns: 0)
        #expect(context.product(weights, x, rows: 2).bits() == [0, 0, 0, 0, 0, 0])
        let none = PackedMatrix(format, rows: 0, columns: 5)
        _ = context.product(none, Matrix(rows: 1, columns: 5), rows: 1)
      }
    }
  }

  @Test(arguments: [WeightFormat.q8, .q4])
  func activationsThatAreNoNumbersShowInTheResult(_ format: WeightFormat) throws {
    var generator = SeededGenerator(seed: 16)
    let weights = CanonicalWeights(format, rows: 16, columns: 64, .ordinary, &generator).packed()
    for set in ComputeContext.available {
      let context = try ComputeContext(threads: 1, instructionSet: set)
      for bad in [Float.nan, .infinity, -.infinity] {
        let x = Matrix.random(rows: 3, columns: 64, .ordinary, &generator)
        x.withMutableRow(1) { $0[40] = bad }
        let y = context.product(weights, x, rows: 3)
        #expect(y.row(0).allSatisfy { $0.isFinite })
        #expect(y.row(1).allSatisfy { $0.isNaN })
        #expect(y.row(2).allSatisfy { $0.isFinite })
      }
    }
  }
}

extension ComputeContext {
  func copyRow(_ x: Matrix, _ row: Int, to y: Matrix) {
    let values = x.row(row)
    y.withMutableRow(0) { span in for i in span.indices { span[i] = values[i] } }
  }
}
