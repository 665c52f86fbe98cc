import TensorCore
import TensorKernels
import TestSupport
import Testing

/// Hidden states in two bytes an element.
@Suite struct HiddenFormatTests {
  /// Rows of every size and sign, with zeros, subnormals, infinities and what is no number.
  static let rows: [[Float]] = {
    var random = SeededGenerator(seed: 7)
    var rows: [[Float]] = [
      [0], [-0.0, 0, 1], [.infinity, 1, -.infinity], [.nan, -3],
      [.leastNonzeroMagnitude, -3 * .leastNonzeroMagnitude],
      [.greatestFiniteMagnitude, 1], [1 - 0x1p-24, 0x1p-29, 0x1p-30, 0x1.8p-29],
    ]
    for _ in 0..<300 {
      let spread = Int.random(in: 0...60, using: &random)
      rows.append(
        (0..<Int.random(in: 1...100, using: &random)).map { _ in
          Float.random(in: -1...1, using: &random)
            * Float(
              sign: .plus, exponent: Int.random(in: -spread...spread, using: &random),
              significand: 1)
        })
      rows.append(
        (0..<40).map { _ in Float(bitPattern: .random(in: .min ... .max, using: &random)) })
    }
    return rows
  }()

  private func matrix(_ row: [Float]) -> Matrix {
    let matrix = Matrix(rows: 1, columns: row.count)
    matrix.withMutableRow(0) { span in for index in row.indices { span[index] = row[index] } }
    return matrix
  }

  private func bits(_ row: [Float]) -> [UInt32] { row.map(\.bitPattern) }

  @Test func roundedRowsTravelWithoutLoss() throws {
    let compute = try ComputeContext(threads: 2)
    for format in HiddenFormat.allCases {
      for row in Self.rows {
        let hidden = matrix(row)
        compute.round(hidden, to: format, rows: 1)
        let rounded = hidden.row(0)
        compute.round(hidden, to: format, rows: 1)
        #expect(bits(hidden.row(0)) == bits(rounded))
        var bytes: [UInt8] = [9]
        hidden.withRow(0) { format.append($0, to: &bytes) }
        #expect(bytes.count == 1 + format.byteCount(columns: row.count))
        let back = Matrix(rows: 1, columns: row.count)
        back.withMutableRow(0) { format.read(bytes.span.extracting(1..<bytes.count), into: &$0) }
        #expect(bits(back.row(0)) == bits(rounded), "\(row)")
        if format == .f32 { #expect(bits(rounded) == bits(row)) }
      }
    }
  }

  @Test func roundingIsToTheNearest() throws {
    let compute = try ComputeContext(threads: 1)
    for row in Self.rows where row.allSatisfy({ $0.isFinite && abs($0) < 1e38 }) {
      let hidden = matrix(row)
      compute.round(hidden, to: .half, rows: 1)
      let largest = row.reduce(0) { max($0, abs($1)) }
      for (before, after) in zip(row, hidden.row(0)) {
        let error = abs(Double(before) - Double(after))
        #expect(
          error <= max(abs(Double(before)) * 0x1p-11, Double(largest) * 0x1p-28)
            || abs(before) < .leastNormalMagnitude, "\(before) became \(after)")
        #expect(after == 0 || after.sign == before.sign)
      }
    }
  }
}
