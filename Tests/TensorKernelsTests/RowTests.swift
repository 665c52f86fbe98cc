import Foundation
import TensorCore
import TensorKernels
import TestSupport
import Testing

@Suite struct RowTests {
  static let widths = [1, 2, 7, 15, 16, 17, 31, 64, 80, 100, 2049]

  /// Runs `body` on copies of one matrix with every instruction set; all must agree.
  private func compare(
    seed: UInt64, _ body: (ComputeContext, Matrix, Matrix) -> Void
  ) throws {
    var generator = SeededGenerator(seed: seed)
    let reference = try referenceContext()
    for width in Self.widths {
      for kind in NumberKind.allCases {
        let x = Matrix.random(rows: 3, columns: width, kind, &generator)
        let other = Matrix.random(rows: 3, columns: width, .ordinary, &generator)
        let expected = x.copy()
        body(reference, expected, other)
        for context in try fastContexts() {
          let found = x.copy()
          body(context, found, other)
          #expect(found.bits() == expected.bits(), "\(context.instructionSet) \(width) \(kind)")
        }
      }
    }
  }

  @Test func elementwiseFunctionsEqualTheReference() throws {
    for activation in Activation.allCases {
      try compare(seed: 31) { context, x, _ in context.activate(x, activation, rows: 3) }
      try compare(seed: 32) { context, x, up in context.gate(x, activation, times: up, rows: 3) }
    }
    try compare(seed: 33) { context, x, other in context.add(other, to: x, rows: 3) }
    try compare(seed: 34) { context, x, _ in context.scale(x, by: 0.3, rows: 3) }
    try compare(seed: 35) { context, x, _ in context.softcap(x, cap: 30, rows: 3) }
  }

  @Test func normsEqualTheReference() throws {
    try compare(seed: 36) { context, x, other in
      context.rmsNorm(x, weight: other, epsilon: 1e-5, weightOffset: 1, rows: 3, into: x)
    }
    try compare(seed: 37) { context, x, other in
      context.layerNorm(x, weight: other, bias: other, epsilon: 1e-5, rows: 3, into: x)
    }
    try compare(seed: 38) { context, x, other in
      context.layerNorm(x, weight: other, bias: nil, epsilon: 1e-5, rows: 2, into: x)
    }
  }

  @Test func normsAreRight() throws {
    var generator = SeededGenerator(seed: 39)
    for width in [1, 10, 64, 333] {
      let x = Matrix.random(rows: 1, columns: width, .ordinary, &generator)
      let weight = Matrix.random(rows: 1, columns: width, .ordinary, &generator)
      let bias = Matrix.random(rows: 1, columns: width, .ordinary, &generator)
      let values = x.row(0).map(Double.init)
      let n = Double(width)
      let square = values.map { $0 * $0 }.reduce(0, +) / n
      let mean = values.reduce(0, +) / n
      let variance = values.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / n
      let context = try ComputeContext(threads: 1)
      let y = Matrix(rows: 1, columns: width)
      context.rmsNorm(x, weight: weight, epsilon: 1e-6, weightOffset: 1, rows: 1, into: y)
      for i in 0..<width {
        let expected = values[i] / (square + 1e-6).squareRoot() * (Double(weight.row(0)[i]) + 1)
        #expect(abs(Double(y.row(0)[i]) - expected) < 1e-5)
      }
      context.layerNorm(x, weight: weight, bias: bias, epsilon: 1e-5, rows: 1, into: y)
      for i in 0..<width {
        let expected =
          (values[i] - mean) / (variance + 1e-5).squareRoot() * Double(weight.row(0)[i])
          + Double(bias.row(0)[i])
        #expect(abs(Double(y.row(0)[i]) - expected) < 2e-5)
      }
    }
  }

  @Test func headNormsAreNormsOfEachHead() throws {
    var generator = SeededGenerator(seed: 40)
    for set in ComputeContext.available {
      let context = try ComputeContext(threads: 2, instructionSet: set)
      let x = Matrix.random(rows: 2, columns: 50, .ordinary, &generator)
      let weights = Matrix.random(rows: 4, columns: 12, .ordinary, &generator)
      let one = Matrix(rows: 1, columns: 12)
      one.fill { _, column in weights.row(0)[column] }
      let rms = x.copy()
      let layer = x.copy()
      context.headRMSNorm(
        rms, heads: 4, headDimension: 12, weight: one, epsilon: 1e-6, weightOffset: 0, rows: 2)
      context.headLayerNorm(
        layer, heads: 4, headDimension: 12, weight: weights, bias: weights, epsilon: 1e-6,
        rows: 2)
      for row in 0..<2 {
        for head in 0..<4 {
          let part = Matrix(rows: 1, columns: 12)
          part.fill { _, column in x.row(row)[head * 12 + column] }
          let own = Matrix(rows: 1, columns: 12)
          own.fill { _, column in weights.row(head)[column] }
          let range = head * 12..<head * 12 + 12
          let expected = Matrix(rows: 1, columns: 12)
          context.rmsNorm(
            part, weight: one, epsilon: 1e-6, weightOffset: 0, rows: 1, into: expected)
          #expect(Array(rms.row(row)[range]) == expected.row(0))
          context.layerNorm(part, weight: own, bias: own, epsilon: 1e-6, rows: 1, into: expected)
          #expect(Array(layer.row(row)[range]) == expected.row(0))
        }
        #expect(rms.row(row)[48...] == x.row(row)[48...])
      }
    }
  }

  /// Every elementary function against double precision over its whole range.
  @Test func activationsAreRight() throws {
    let exact: [(Activation, (Double) -> Double)] = [
      (.silu, { $0 / (1 + exp(-$0)) }),
      (.geluTanh, { 0.5 * $0 * (1 + tanh(0.7978845608028654 * ($0 + 0.044715 * $0 * $0 * $0))) }),
      (.gelu, { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }),
      (.relu, { max($0, 0) }),
      (.quickGelu, { $0 / (1 + exp(-1.702 * $0)) }),
    ]
    let x = Matrix(rows: 1, columns: 4001)
    x.fill { _, column in (Float(column) - 2000) * 0.01 }
    let context = try ComputeContext(threads: 1)
    for (activation, function) in exact {
      let y = x.copy()
      context.activate(y, activation, rows: 1)
      for (value, result) in zip(x.row(0), y.row(0)) {
        let expected = function(Double(value))
        #expect(abs(Double(result) - expected) <= 4e-7 * max(1, abs(expected)), "\(value)")
      }
    }
    let capped = x.copy()
    context.softcap(capped, cap: 5, rows: 1)
    for (value, result) in zip(x.row(0), capped.row(0)) {
      let expected = 5 * tanh(Double(value) / 5)
      #expect(abs(Double(result) - expected) <= 2e-7 * abs(expected) + 1e-9, "\(value)")
    }
  }

  @Test func theLargestValueWinsAndTiesGoToTheFirst() throws {
    for set in ComputeContext.available {
      let context = try ComputeContext(threads: 1, instructionSet: set)
      for columns in [1, 5, 16, 40, 1000] {
        let x = Matrix(rows: 2, columns: columns)
        x.fill { row, column in row == 0 ? -1 : Float(column % 37) }
        #expect(context.argmax(x, row: 0) == 0)
        #expect(context.argmax(x, row: 1) == min(columns - 1, 36))
        x.withMutableRow(0) { $0[columns - 1] = 0.5 }
        #expect(context.argmax(x, row: 0) == columns - 1)
        x.withMutableRow(0) { for i in $0.indices { $0[i] = .nan } }
        #expect(context.argmax(x, row: 0) == 0)
        x.withMutableRow(0) { $0[columns / 2] = -.infinity }
        #expect(context.argmax(x, row: 0) == 0)
        x.withMutableRow(0) { $0[columns / 2] = -7 }
        #expect(context.argmax(x, row: 0) == columns / 2)
      }
    }
  }

  @Test func logSumExpIsRight() throws {
    var generator = SeededGenerator(seed: 41)
    for columns in [1, 3, 16, 50, 1000] {
      let x = Matrix(rows: 1, columns: columns)
      x.fill { _, _ in Float.random(in: -50...80, using: &generator) }
      let top = Double(x.row(0).max() ?? 0)
      let exact = top + log(x.row(0).map { exp(Double($0) - top) }.reduce(0, +))
      let results = try ComputeContext.available.map {
        try ComputeContext(threads: 1, instructionSet: $0).logSumExp(x, row: 0)
      }
      for result in results {
        #expect(abs(result - exact) < 1e-6)
        #expect(result == results[0])
      }
    }
  }

  @Test func columnsAreCopied() throws {
    var generator = SeededGenerator(seed: 42)
    let x = Matrix.random(rows: 3, columns: 20, .ordinary, &generator)
    let y = Matrix(rows: 3, columns: 9)
    try ComputeContext(threads: 1).copyColumns(x, from: 4..<9, rows: 2, into: y, at: 3)
    for row in 0..<2 {
      #expect(y.row(row) == [0, 0, 0] + x.row(row)[4..<9] + [0])
    }
    #expect(y.row(2) == [Float](repeating: 0, count: 9))
  }

  @Test func quantizedActivationsEqualTheReference() throws {
    // Through a product with one weight of 1 per row, which shows every code.
    var generator = SeededGenerator(seed: 43)
    for columns in [1, 31, 32, 40, 172] {
      var weights = CanonicalWeights(.q8, rows: columns, columns: columns, .ordinary, &generator)
      weights.setFloats(plane: 0) { 1 }
      let padded = (columns + 31) / 32 * 32
      for i in weights.planes[1].indices { weights.planes[1][i] = 1 }
      for i in weights.planes[2].indices {
        weights.planes[2][i] = i % padded == i / padded ? 1 : 0
      }
      let packed = weights.packed()
      for kind in NumberKind.allCases {
        let x = Matrix.random(rows: 2, columns: columns, kind, &generator)
        let expected = try referenceContext().product(packed, x, rows: 2)
        for context in try fastContexts() {
          #expect(context.product(packed, x, rows: 2).bits() == expected.bits())
        }
        for row in 0..<2 {
          for first in stride(from: 0, to: columns, by: 32) {
            let block = first..<min(first + 32, columns)
            let largest = x.row(row)[block].map(\.magnitude).max() ?? 0
            for i in block where largest > 1e-30 {
              #expect(abs(expected.row(row)[i] - x.row(row)[i]) <= largest / 8190 * 1.001)
            }
          }
        }
      }
    }
  }
}
