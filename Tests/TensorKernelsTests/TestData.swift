import TensorCore
import TensorKernels
import TestSupport

/// What kind of numbers a test feeds: the ordinary and the ends of the range.
enum NumberKind: CaseIterable {
  case ordinary, extremes, zeros, denormals, mixed

  func next(_ generator: inout SeededGenerator) -> Float {
    switch self {
    case .ordinary: return Float.random(in: -2...2, using: &generator)
    case .extremes: return Bool.random(using: &generator) ? 3 : -3
    case .zeros: return Bool.random(using: &generator) ? 0 : -0.0
    case .denormals: return Float.random(in: -1e-38...1e-38, using: &generator) * 0.001
    case .mixed:
      let exponent = Float.random(in: -40...20, using: &generator)
      return Float.random(in: -1...1, using: &generator) * Float.exactPower(exponent.rounded())
    }
  }
}

extension Float {
  /// 2 to a whole number.
  static func exactPower(_ exponent: Float) -> Float {
    Float(sign: .plus, exponent: Int(exponent), significand: 1)
  }
}

extension Matrix {
  static func random(
    rows: Int, columns: Int, _ kind: NumberKind, _ generator: inout SeededGenerator
  ) -> Matrix {
    let matrix = Matrix(rows: rows, columns: columns)
    matrix.fill { _, _ in kind.next(&generator) }
    return matrix
  }

  func fill(_ value: (Int, Int) -> Float) {
    for row in 0..<rowCapacity {
      withMutableRow(row) { span in
        for column in span.indices { span[column] = value(row, column) }
      }
    }
  }

  func copy() -> Matrix {
    let other = Matrix(rows: rowCapacity, columns: columns)
    for row in 0..<rowCapacity {
      let values = self.row(row)
      other.withMutableRow(row) { span in for i in span.indices { span[i] = values[i] } }
    }
    return other
  }

  /// The bits of the first rows, to compare results exactly. All numbers that are none count alike.
  func bits(rows: Int? = nil) -> [UInt32] {
    (0..<(rows ?? rowCapacity)).flatMap { row in
      self.row(row).map { $0.isNaN ? 0x7fc0_0000 : $0.bitPattern }
    }
  }
}

/// A weight matrix by its canonical planes, with what they mean in double precision.
struct CanonicalWeights {
  let format: WeightFormat
  let rows: Int
  let columns: Int
  var planes: [[UInt8]]

  init(
    _ format: WeightFormat, rows: Int, columns: Int, _ kind: NumberKind,
    _ generator: inout SeededGenerator
  ) {
    self.format = format
    self.rows = rows
    self.columns = columns
    let perRow = format.planeBytesPerRow(columns: columns)
    planes = perRow.map { [UInt8](repeating: 0, count: $0 * rows) }
    switch format {
    case .f32:
      setFloats(plane: 0) { kind.next(&generator) }
    case .f16:
      setHalves { Float16(kind.next(&generator)).bitPattern }
    case .bf16:
      setHalves { UInt16(truncatingIfNeeded: kind.next(&generator).bitPattern >> 16) }
    case .q8, .q4:
      setFloats(plane: 0) { kind.next(&generator) * 0.01 }
      for i in planes[1].indices { planes[1][i] = UInt8.random(in: 0...255, using: &generator) }
      for i in planes[2].indices { planes[2][i] = UInt8.random(in: 0...255, using: &generator) }
      if format == .q8 {
        for i in planes[2].indices where planes[2][i] == 128 { planes[2][i] = 129 }
      }
    default: fillBlocks(kind, &generator)
    }
  }

  /// Random bytes; scales are numbers of the kind, so far as 16 bits hold them.
  private mutating func fillBlocks(_ kind: NumberKind, _ generator: inout SeededGenerator) {
    guard let block = format.ggmlBlock else { return }
    let scales =
      switch format {
      case .q4_1, .q5_1, .q4_k, .q5_k: [0, 2]
      case .q6_k: [208]
      default: [0]
      }
    for i in planes[0].indices { planes[0][i] = UInt8.random(in: 0...255, using: &generator) }
    for first in stride(from: 0, to: planes[0].count, by: block.bytes) {
      for place in scales {
        let bits = Float16(max(-30_000, min(30_000, kind.next(&generator) * 0.01))).bitPattern
        planes[0][first + place] = UInt8(truncatingIfNeeded: bits)
        planes[0][first + place + 1] = UInt8(truncatingIfNeeded: bits >> 8)
      }
    }
  }

  mutating func setFloats(plane: Int, _ next: () -> Float) {
    for i in stride(from: 0, to: planes[plane].count, by: 4) {
      let bits = next().bitPattern
      for byte in 0..<4 {
        planes[plane][i + byte] = UInt8(truncatingIfNeeded: bits >> (8 * UInt32(byte)))
      }
    }
  }

  private mutating func setHalves(_ next: () -> UInt16) {
    for i in stride(from: 0, to: planes[0].count, by: 2) {
      let bits = next()
      planes[0][i] = UInt8(truncatingIfNeeded: bits)
      planes[0][i + 1] = UInt8(truncatingIfNeeded: bits >> 8)
    }
  }

  func packed() -> PackedMatrix {
    let matrix = PackedMatrix(format, rows: rows, columns: columns)
    for (plane, bytes) in planes.enumerated() {
      unsafe matrix.store(plane: plane, rows: 0..<rows, bytes.span.bytes)
    }
    return matrix
  }

  private func word(_ plane: Int, _ index: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(planes[plane][4 * index + $1]) << UInt32(8 * $1) }
  }

  private func half(_ index: Int) -> UInt16 {
    UInt16(planes[0][2 * index]) | UInt16(planes[0][2 * index + 1]) << 8
  }

  private static let grids: [[Int]] = [
    [-116, -98, -76, -58, -44, -32, -20, -8, 2, 12, 22, 34, 48, 62, 80, 116],
    [-110, -92, -70, -52, -38, -26, -14, -2, 8, 18, 28, 40, 54, 68, 86, 122],
  ]

  /// The integer level times the integer code of q8 and q4 weights.
  func integer(_ row: Int, _ column: Int) -> Int {
    let blocks = (columns + 31) / 32
    if format == .q8 {
      let level = Int(planes[1][row * blocks + column / 32])
      return level * Int(Int8(bitPattern: planes[2][row * blocks * 32 + column]))
    }
    let scale = planes[1][row * blocks * 2 + column / 16]
    let byte = planes[2][row * blocks * 16 + column / 2]
    let code = column % 2 == 0 ? byte & 15 : byte >> 4
    return (Int(scale & 254) - 127) * Self.grids[Int(scale & 1)][Int(code)]
  }

  func rowScale(_ row: Int) -> Float { Float(bitPattern: word(0, row)) }

  /// The weight as a float, as dequantizing gives it.
  func value(_ row: Int, _ column: Int) -> Float {
    switch format {
    case .f32: return Float(bitPattern: word(0, row * columns + column))
    case .f16: return Float(Float16(bitPattern: half(row * columns + column)))
    case .bf16: return Float(bitPattern: UInt32(half(row * columns + column)) << 16)
    case .q8, .q4: return rowScale(row) * Float(integer(row, column))
    default:
      guard let block = format.ggmlBlock else { return .nan }
      let perRow = planes[0].count / rows
      let first = row * perRow + column / block.columns * block.bytes
      let reference = GGMLReference(
        format: format, block: planes[0][first..<first + block.bytes])
      return reference.value(column % block.columns)
    }
  }
}

/// One thread, all instruction sets of this machine but the reference.
func fastContexts() throws -> [ComputeContext] {
  try ComputeContext.available.filter { $0 != .reference }
    .map { try ComputeContext(threads: 1, instructionSet: $0) }
}

func referenceContext() throws -> ComputeContext {
  try ComputeContext(threads: 1, instructionSet: .reference)
}

extension ComputeContext {
  /// A product with everything it needs made on the way.
  func product(_ weights: PackedMatrix, _ x: Matrix, bias: Matrix? = nil, rows: Int) -> Matrix {
    let y = Matrix(rows: rows, columns: weights.rows)
    var quantized: QuantizedActivations?
    if weights.format.needsQuantizedActivations {
      let codes = QuantizedActivations(rows: rows, columns: weights.columns)
      quantize(x, rows: rows, into: codes)
      quantized = codes
    }
    multiply(weights, x, quantized: quantized, rows: rows, bias: bias, into: y)
    return y
  }
}
