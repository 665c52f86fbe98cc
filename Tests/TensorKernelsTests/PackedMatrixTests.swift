import TensorCore
import TensorKernels
import TestSupport
import Testing

@Suite struct PackedMatrixTests {
  @Test(arguments: WeightFormat.allCases)
  func gatheredRowsAreTheDequantizedOnes(_ format: WeightFormat) throws {
    var generator = SeededGenerator(seed: 21)
    for columns in [1, 10, 32, 172] {
      let weights = CanonicalWeights(format, rows: 21, columns: columns, .mixed, &generator)
      let ids: [Int32] = [20, 0, 16, 3, 3]
      for set in ComputeContext.available {
        let y = Matrix(rows: ids.count, columns: columns)
        try ComputeContext(threads: 1, instructionSet: set)
          .gatherRows(weights.packed(), ids, into: y)
        for (row, id) in ids.enumerated() {
          #expect(y.row(row) == (0..<columns).map { weights.value(Int(id), $0) })
        }
      }
    }
  }

  /// Rows in any order, and pieces of a plane that end within rows, give the same matrix.
  @Test(arguments: WeightFormat.allCases)
  func storesMayComeInAnyOrderAndInPieces(_ format: WeightFormat) throws {
    var generator = SeededGenerator(seed: 22)
    let rows = 37
    let columns = 96
    let weights = CanonicalWeights(format, rows: rows, columns: columns, .ordinary, &generator)
    let x = Matrix.random(rows: 1, columns: columns, .ordinary, &generator)
    let context = try ComputeContext(threads: 1)
    let expected = context.product(weights.packed(), x, rows: 1).bits()
    let byRows = PackedMatrix(format, rows: rows, columns: columns)
    let byBytes = PackedMatrix(format, rows: rows, columns: columns)
    for (plane, bytes) in weights.planes.enumerated() {
      let perRow = bytes.count / rows
      for row in (0..<rows).shuffled(using: &generator) {
        let part = Array(bytes[row * perRow..<(row + 1) * perRow])
        unsafe byRows.store(plane: plane, rows: row..<(row + 1), part.span.bytes)
      }
      for start in stride(from: 0, to: bytes.count, by: 20).shuffled(using: &generator) {
        let part = Array(bytes[start..<min(start + 20, bytes.count)])
        unsafe byBytes.store(plane: plane, byteOffset: start, part.span.bytes)
      }
    }
    #expect(context.product(byRows, x, rows: 1).bits() == expected)
    #expect(context.product(byBytes, x, rows: 1).bits() == expected)
  }

  @Test func bytesAreThoseOfPaddedRows() {
    #expect(PackedMatrix.byteCount(.f32, rows: 17, columns: 10) == 32 * 10 * 4)
    #expect(PackedMatrix.byteCount(.f16, rows: 16, columns: 10) == 16 * 10 * 2)
    #expect(PackedMatrix.byteCount(.q8, rows: 16, columns: 33) == 16 * (4 + 2 + 64))
    #expect(PackedMatrix.byteCount(.q4, rows: 4096, columns: 4096) == 4096 * (4 + 256 + 2048))
    #expect(PackedMatrix(.q4, rows: 5, columns: 5).byteCount == 16 * (4 + 4 + 32))
  }
}
