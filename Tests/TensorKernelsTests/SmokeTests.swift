import TensorCore
import TensorKernels
import Testing

@Test func aProductOfFloatsIsTheSumOfProducts() throws {
  let compute = try ComputeContext(threads: 2)
  let weights = PackedMatrix(.f32, rows: 17, columns: 10)
  var values = [Float](repeating: 0, count: 170)
  for i in values.indices { values[i] = Float(i % 13) - 6 }
  unsafe weights.store(plane: 0, rows: 0..<17, values.span.bytes)
  let x = Matrix(rows: 2, columns: 10)
  let y = Matrix(rows: 2, columns: 17)
  for t in 0..<2 { x.withMutableRow(t) { row in for c in 0..<10 { row[c] = Float(c + t) } } }
  compute.multiply(weights, x, quantized: nil, rows: 2, into: y)
  for t in 0..<2 {
    for r in 0..<17 {
      let expected = (0..<10).reduce(Float(0)) { $0 + values[r * 10 + $1] * Float($1 + t) }
      #expect(y.row(t)[r] == expected)
    }
  }
}
