import Foundation
import TensorCore
import TensorKernels
import TestSupport
import Testing

@Suite struct AttentionTests {
  struct Form: Sendable, CustomStringConvertible {
    var heads = 4
    var keyValueHeads = 2
    var dimension = 16
    var window: Int?
    var softcap: Float?
    var format = CacheFormat.f32
    var length = 70
    var capacity = 70

    var description: String {
      "\(heads)/\(keyValueHeads) heads of \(dimension), window \(window ?? 0), "
        + "softcap \(softcap ?? 0), \(format), \(length) positions in \(capacity)"
    }

    var shape: AttentionShape {
      AttentionShape(
        heads: heads, keyValueHeads: keyValueHeads, headDimension: dimension,
        scale: 1 / Float(dimension).squareRoot(), window: window, softcap: softcap)
    }
  }

  static let forms: [Form] = [
    Form(),
    Form(heads: 3, keyValueHeads: 3, dimension: 10, format: .f16),
    Form(heads: 9, keyValueHeads: 1, dimension: 12, softcap: 20),
    Form(heads: 8, keyValueHeads: 2, dimension: 64, format: .f16, length: 200, capacity: 300),
    Form(heads: 2, keyValueHeads: 1, dimension: 80, window: 16, length: 90, capacity: 40),
    Form(
      heads: 6, keyValueHeads: 2, dimension: 128, window: 37, format: .f16, length: 150,
      capacity: 64),
    Form(heads: 4, keyValueHeads: 4, dimension: 2, window: 1, length: 40, capacity: 20),
    Form(
      heads: 2, keyValueHeads: 2, dimension: 256, softcap: 50, format: .f16, length: 33,
      capacity: 33),
  ]

  struct Data {
    let queries: Matrix
    let keys: Matrix
    let values: Matrix

    init(_ form: Form, seed: UInt64) {
      var generator = SeededGenerator(seed: seed)
      queries = .random(
        rows: form.length, columns: form.heads * form.dimension, .ordinary, &generator)
      let width = form.keyValueHeads * form.dimension
      keys = .random(rows: form.length, columns: width, .ordinary, &generator)
      values = .random(rows: form.length, columns: width, .ordinary, &generator)
    }
  }

  /// Runs all positions in chunks.
  private func run(
    _ form: Form, _ data: Data, chunk: Int, context: ComputeContext, capacity: Int? = nil
  ) -> Matrix {
    let cache = KeyValueCache(
      keyValueHeads: form.keyValueHeads, headDimension: form.dimension,
      capacity: capacity ?? form.capacity, format: form.format)
    let scratch = AttentionScratch(threads: context.pool.threads, context: form.length)
    let result = Matrix(rows: form.length, columns: data.queries.columns)
    for first in stride(from: 0, to: form.length, by: chunk) {
      let rows = min(chunk, form.length - first)
      func slice(_ x: Matrix) -> Matrix {
        let part = Matrix(rows: rows, columns: x.columns)
        for row in 0..<rows {
          let values = x.row(first + row)
          part.withMutableRow(row) { span in for i in span.indices { span[i] = values[i] } }
        }
        return part
      }
      cache.store(
        keys: slice(data.keys), values: slice(data.values), firstPosition: first, rows: rows)
      let y = Matrix(rows: rows, columns: data.queries.columns)
      context.attention(
        slice(data.queries), cache: cache, shape: form.shape, firstPosition: first, rows: rows,
        scratch: scratch, into: y)
      for row in 0..<rows {
        let values = y.row(row)
        result.withMutableRow(first + row) { span in
          for i in span.indices { span[i] = values[i] }
        }
      }
    }
    return result
  }

  @Test(arguments: forms)
  func attentionIsRight(_ form: Form) throws {
    let data = Data(form, seed: 71)
    let found = run(form, data, chunk: 5, context: try ComputeContext(threads: 1))
    func stored(_ x: Matrix) -> [[Double]] {
      (0..<form.length).map { row in
        x.row(row).map { form.format == .f16 ? Double(Float16($0)) : Double($0) }
      }
    }
    let keys = stored(data.keys)
    let values = stored(data.values)
    let group = form.heads / form.keyValueHeads
    for i in stride(from: 0, to: form.length, by: 3) {
      let query = data.queries.row(i).map(Double.init)
      let result = found.row(i)
      let first = form.window.map { max(0, i - $0 + 1) } ?? 0
      for head in 0..<form.heads {
        let shared = head / group * form.dimension
        let scores = (first...i).map { j in
          var score = (0..<form.dimension).reduce(0.0) {
            $0 + query[head * form.dimension + $1] * keys[j][shared + $1]
          }
          score *= Double(form.shape.scale)
          if let cap = form.softcap.map(Double.init) { score = cap * tanh(score / cap) }
          return score
        }
        let top = scores.max() ?? 0
        let weights = scores.map { exp($0 - top) }
        let sum = weights.reduce(0, +)
        for d in 0..<form.dimension {
          let expected =
            zip(first...i, weights).reduce(0.0) { $0 + values[$1.0][shared + d] * $1.1 } / sum
          #expect(abs(Double(result[head * form.dimension + d]) - expected) < 5e-6)
        }
      }
    }
  }

  @Test(arguments: forms)
  func everyInstructionSetChunkAndThreadCountGivesTheSameBits(_ form: Form) throws {
    let data = Data(form, seed: 72)
    let expected = run(form, data, chunk: 1, context: try referenceContext()).bits()
    for set in ComputeContext.available {
      for threads in [1, 3] {
        let context = try ComputeContext(threads: threads, instructionSet: set)
        for chunk in [1, 2, 7, 16] {
          // A ring needs room for the window and the chunk.
          if let window = form.window, window + chunk - 1 > form.capacity { continue }
          let found = run(form, data, chunk: chunk, context: context).bits()
          #expect(found == expected, "\(set), \(threads) threads, chunks of \(chunk)")
        }
        let large = run(form, data, chunk: 40, context: context, capacity: 1000).bits()
        #expect(large == expected, "\(set), a larger ring")
      }
    }
  }

  /// What an earlier sequence left in the ring must not matter, even if it was not a number.
  @Test func staleEntriesDoNotCount() throws {
    var form = Form(window: 5, length: 30, capacity: 16)
    form.format = .f32
    let data = Data(form, seed: 73)
    let bad = Matrix(rows: 16, columns: data.keys.columns)
    bad.fill { _, _ in .nan }
    for set in ComputeContext.available {
      let context = try ComputeContext(threads: 1, instructionSet: set)
      let cache = KeyValueCache(
        keyValueHeads: 2, headDimension: 16, capacity: 16, format: .f32)
      cache.store(keys: bad, values: bad, firstPosition: 0, rows: 16)
      let scratch = AttentionScratch(threads: 1, context: 30)
      let y = Matrix(rows: 3, columns: 64)
      cache.store(keys: data.keys, values: data.values, firstPosition: 0, rows: 3)
      context.attention(
        data.queries, cache: cache, shape: form.shape, firstPosition: 0, rows: 3,
        scratch: scratch, into: y)
      #expect(y.row(0).allSatisfy { $0.isFinite })
      #expect(y.row(2).allSatisfy { $0.isFinite })
    }
  }

  @Test func cachesTakeTheBytesTheySay() {
    let bytes = KeyValueCache.byteCount(
      keyValueHeads: 8, headDimension: 128, capacity: 100, format: .f16)
    #expect(bytes == 2 * 8 * 128 * 112 * 2)
    #expect(
      KeyValueCache.byteCount(keyValueHeads: 1, headDimension: 10, capacity: 16, format: .f32)
        == (10 + 16) * 16 * 4)
  }
}
