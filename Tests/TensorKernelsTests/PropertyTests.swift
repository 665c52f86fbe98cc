import TensorCore
import TensorKernels
import TestSupport
import Testing

/// Every function of every instruction set against the reference: random shapes with their tails
/// and with nothing at all, numbers from the ends of the range, infinities and numbers that are
/// none.
@Suite struct PropertyTests {
  /// Numbers of one kind, or of all kinds mixed with those at the ends of the range.
  private struct Source {
    var generator: SeededGenerator
    let kind: NumberKind?

    mutating func next() -> Float {
      if let kind { return kind.next(&generator) }
      let ends: [Float] = [
        .infinity, -.infinity, .nan, .greatestFiniteMagnitude, -.greatestFiniteMagnitude,
        .leastNonzeroMagnitude, -.leastNonzeroMagnitude, .leastNormalMagnitude, 0, -0.0,
      ]
      if Int.random(in: 0..<8, using: &generator) == 0 {
        return ends.randomElement(using: &generator) ?? 0
      }
      return (NumberKind.allCases.randomElement(using: &generator) ?? .mixed).next(&generator)
    }

    mutating func matrix(rows: Int, columns: Int) -> Matrix {
      let matrix = Matrix(rows: rows, columns: columns)
      for row in 0..<rows {
        matrix.withMutableRow(row) { span in
          for column in span.indices { span[column] = next() }
        }
      }
      return matrix
    }

    /// 0 to `limit`, small ones and those around multiples of 16 more often.
    mutating func size(_ limit: Int) -> Int {
      switch Int.random(in: 0..<3, using: &generator) {
      case 0: return Int.random(in: 0...min(limit, 20), using: &generator)
      case 1:
        let middle = Int.random(in: 0...limit / 16, using: &generator) * 16
        return max(0, min(limit, middle + Int.random(in: -1...1, using: &generator)))
      default: return Int.random(in: 0...limit, using: &generator)
      }
    }
  }

  private static let rounds = 24

  /// Sources for so many rounds: the kinds in turn, then hostile numbers.
  private static func sources(seed: UInt64) -> [Source] {
    let kinds: [NumberKind?] = NumberKind.allCases + [nil]
    return (0..<rounds).map { round in
      Source(
        generator: SeededGenerator(seed: seed &* 1000 &+ UInt64(round)),
        kind: kinds[round % kinds.count])
    }
  }

  /// Runs `body` with the reference and with each fast set; the bits must agree.
  private func agree(_ what: String, _ body: (ComputeContext) -> [UInt32]) throws {
    let expected = body(try referenceContext())
    for context in try fastContexts() {
      #expect(body(context) == expected, "\(context.instructionSet): \(what)")
    }
  }

  @Test(arguments: WeightFormat.allCases)
  func products(_ format: WeightFormat) throws {
    for var source in Self.sources(seed: 101) {
      let rows = source.size(90)
      let columns = source.size(700)
      let tokens = source.size(40)
      var weights = CanonicalWeights(
        format, rows: rows, columns: columns, source.kind ?? .mixed, &source.generator)
      if format.needsQuantizedActivations, source.kind == nil {
        weights.setFloats(plane: 0) { source.next() }
      }
      let packed = weights.packed()
      let x = source.matrix(rows: tokens, columns: columns)
      let bias = Bool.random(using: &source.generator) ? source.matrix(rows: 1, columns: rows) : nil
      try agree("\(format) \(rows)x\(columns), \(tokens) tokens, \(source.kind as Any)") {
        $0.product(packed, x, bias: bias, rows: tokens).bits()
      }
      let ids = (0..<min(rows, 5)).map { _ in
        Int32.random(in: 0..<Int32(rows), using: &source.generator)
      }
      try agree("rows of \(format) \(rows)x\(columns)") { context in
        let y = Matrix(rows: ids.count, columns: columns)
        context.gatherRows(packed, ids, into: y)
        return y.bits()
      }
    }
  }

  @Test func elementwiseFunctions() throws {
    for var source in Self.sources(seed: 102) {
      let rows = source.size(4)
      let columns = source.size(5000)
      let x = source.matrix(rows: rows, columns: columns)
      let other = source.matrix(rows: rows, columns: columns)
      let factor = source.next()
      func check(_ what: String, _ body: (ComputeContext, Matrix) -> Void) throws {
        try agree("\(what) of \(rows)x\(columns), \(source.kind as Any)") { context in
          let y = x.copy()
          body(context, y)
          return y.bits()
        }
      }
      for activation in Activation.allCases {
        try check("\(activation)") { $0.activate($1, activation, rows: rows) }
        try check("gate \(activation)") { $0.gate($1, activation, times: other, rows: rows) }
      }
      try check("sum") { $0.add(other, to: $1, rows: rows) }
      try check("scale") { $0.scale($1, by: factor, rows: rows) }
      try check("softcap") { $0.softcap($1, cap: 30, rows: rows) }
    }
  }

  @Test func norms() throws {
    for var source in Self.sources(seed: 103) {
      let rows = source.size(4)
      let columns = source.size(5000)
      let x = source.matrix(rows: rows, columns: columns)
      let weight = source.matrix(rows: 1, columns: columns)
      let bias = Bool.random(using: &source.generator) ? weight : nil
      let what = "\(rows)x\(columns), \(source.kind as Any)"
      try agree("RMS norm of \(what)") { context in
        let y = Matrix(rows: rows, columns: columns)
        context.rmsNorm(x, weight: weight, epsilon: 1e-6, weightOffset: 1, rows: rows, into: y)
        return y.bits()
      }
      try agree("layer norm of \(what)") { context in
        let y = Matrix(rows: rows, columns: columns)
        context.layerNorm(x, weight: weight, bias: bias, epsilon: 1e-5, rows: rows, into: y)
        return y.bits()
      }
    }
  }

  @Test func rotations() throws {
    for var source in Self.sources(seed: 104) {
      let heads = 1 + source.size(4)
      let dimension = 2 + 2 * source.size(80)
      let turned = 2 * Int.random(in: 1...dimension / 2, using: &source.generator)
      let table = RotaryTable(
        inverseFrequencies: (0..<turned / 2).map { 1 / Float($0 + 1) }, positions: 300,
        interleaved: Bool.random(using: &source.generator))
      let rows = source.size(5)
      let x = source.matrix(rows: rows, columns: heads * dimension)
      try agree("\(turned) of \(dimension) dimensions, \(source.kind as Any)") { context in
        let y = x.copy()
        context.rotate(
          y, heads: heads, headDimension: dimension, table: table, firstPosition: 290, rows: rows)
        return y.bits()
      }
    }
  }

  @Test func reductions() throws {
    for var source in Self.sources(seed: 105) {
      let columns = 1 + source.size(5000)
      let x = source.matrix(rows: 1, columns: columns)
      try agree("largest of \(columns), \(source.kind as Any)") {
        [UInt32($0.argmax(x, row: 0))]
      }
      try agree("log of \(columns) exponentials, \(source.kind as Any)") { context in
        let sum = context.logSumExp(x, row: 0)
        let bits = sum.isNaN ? Double.nan.bitPattern : sum.bitPattern
        return [UInt32(truncatingIfNeeded: bits), UInt32(bits >> 32)]
      }
    }
  }

  @Test(arguments: CacheFormat.allCases)
  func attention(_ format: CacheFormat) throws {
    // Not numbers that are none: nothing that comes before them lets them into a cache.
    for var source in Self.sources(seed: 106) where source.kind != nil {
      let group = 1 + source.size(9)
      let shape = AttentionShape(
        heads: 2 * group, keyValueHeads: 2, headDimension: 1 + source.size(140), scale: 0.3,
        window: Bool.random(using: &source.generator) ? 1 + source.size(60) : nil,
        softcap: Bool.random(using: &source.generator) ? 20 : nil)
      let before = source.size(90)
      let rows = 1 + source.size(20)
      let width = 2 * shape.headDimension
      let keys = source.matrix(rows: before + rows, columns: width)
      let values = source.matrix(rows: before + rows, columns: width)
      let q = source.matrix(rows: rows, columns: shape.heads * shape.headDimension)
      let cache = KeyValueCache(
        keyValueHeads: 2, headDimension: shape.headDimension, capacity: before + rows,
        format: format)
      cache.store(keys: keys, values: values, firstPosition: 0, rows: before + rows)
      try agree("\(shape), \(rows) rows behind \(before), \(source.kind as Any)") { context in
        let y = Matrix(rows: rows, columns: q.columns)
        context.attention(
          q, cache: cache, shape: shape, firstPosition: before, rows: rows,
          scratch: AttentionScratch(threads: 1, context: before + rows), into: y)
        return y.bits()
      }
    }
  }
}
