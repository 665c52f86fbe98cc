import CKernels
import TensorCore
import TensorKernels

/// Σ a aᵀ over the activations that go into a matrix: what an error of its weights costs.
///
/// Columns stand in reversed order, as `ErrorFeedback` takes them, and the lower half counts.
///
// SAFETY: calls come one after another; within one, threads write different rows.
@safe public final class ActivationGram: @unchecked Sendable {
  public let columns: Int
  /// Rows of activations that were added.
  public private(set) var count = 0
  private let sums: AlignedBuffer

  /// Rows of activations that are added together.
  private static let step = 256

  /// Bytes for matrices of that many columns.
  public static func byteCount(columns: Int) -> Int { columns * columns * 4 }

  public init(columns: Int) {
    self.columns = columns
    sums = AlignedBuffer(byteCount: Self.byteCount(columns: columns))
  }

  @unsafe var pointer: UnsafeMutablePointer<Float> {
    unsafe sums.pointer.assumingMemoryBound(to: Float.self)
  }

  /// Adds the first rows of a matrix.
  ///
  /// Shapes: `activations` [≥ rows, columns].
  public func add(_ activations: Matrix, rows: Int, pool: WorkerPool) {
    precondition(activations.columns == columns, "activations of another width")
    let stride = (columns + 4 + 31) / 32 * 32
    let reversed = Matrix(rows: min(rows, Self.step), columns: stride)
    for first in Swift.stride(from: 0, to: rows, by: Self.step) {
      let part = min(Self.step, rows - first)
      for row in 0..<part {
        activations.withRow(first + row) { from in
          reversed.withMutableRow(row) { to in
            for column in 0..<columns { to[columns - 1 - column] = from[column] }
          }
        }
      }
      let bands = Self.bands(0..<columns)
      pool.run(chunks: bands.count) { (index: Int) in
        // The last rows have most columns, so they come first.
        let band = bands[bands.count - 1 - index]
        unsafe BlockEncoders.best.functions.add_products(
          reversed.pointer, stride, part, columns, band.lowerBound, band.upperBound, pointer)
      }
    }
    count += rows
  }

  static func bands(_ range: Range<Int>) -> [Range<Int>] {
    let step = Int(CK_PANEL)
    return stride(from: range.lowerBound, to: range.upperBound, by: step).map {
      $0..<min($0 + step, range.upperBound)
    }
  }

  /// The diagonal, in the order of the sums.
  var diagonal: [Float] {
    (0..<columns).map { unsafe pointer[$0 * columns + $0] }
  }

  /// E[a²] of each column, in the matrix's order.
  public var meanSquares: [Float] {
    diagonal.reversed().map { $0 / Float(max(1, count)) }
  }
}

/// Rounds the codes of a `q4` matrix so that each column takes over what the columns before it have
/// lost; scales stay as they are.
///
// SAFETY: the factor does not change after `init`.
@safe public final class ErrorFeedback: @unchecked Sendable {
  private let gram: ActivationGram

  /// Turns the sums into the factor that feedback needs, in their own memory.
  ///
  /// Returns: nil where rounding leaves them not positive, with a tenth of their mean added to the
  /// diagonal.
  /// Throws: `QuantizationFault` where all sums are zero or some are not finite.
  public init?(_ gram: ActivationGram, pool: WorkerPool) throws(QuantizationFault) {
    self.gram = gram
    let diagonal = gram.diagonal
    let mean = diagonal.reduce(0.0) { $0 + Double($1) } / Double(max(1, diagonal.count))
    guard mean > 0, mean.isFinite else {
      throw QuantizationFault(
        "noActivations",
        "the activations of the calibration are \(mean == 0 ? "all zero" : "not finite"), so they "
          + "say nothing about the weights; give another text, or see that the model is sound")
    }
    unsafe Self.mirror(gram.pointer, gram.columns)
    for share in [0.01, 0.1] {
      let added = Float(share * mean)
      unsafe Self.restore(gram.pointer, gram.columns, diagonal.map { $0 + added })
      if Self.factor(gram, pool) { return }
    }
    return nil
  }

  /// Copies the lower half to the upper.
  private static func mirror(_ h: UnsafeMutablePointer<Float>, _ n: Int) {
    for i in 0..<n { for j in 0..<i { unsafe h[j * n + i] = unsafe h[i * n + j] } }
  }

  /// Takes the lower half from the upper again.
  private static func restore(
    _ h: UnsafeMutablePointer<Float>, _ n: Int, _ diagonal: [Float]
  ) {
    for i in 0..<n {
      for j in 0..<i { unsafe h[i * n + j] = unsafe h[j * n + i] }
      unsafe h[i * n + i] = diagonal[i]
    }
  }

  /// The Cholesky factor, each column divided by its diagonal element.
  private static func factor(_ gram: ActivationGram, _ pool: WorkerPool) -> Bool {
    let n = gram.columns
    let panel = Int(CK_PANEL)
    for first in stride(from: 0, to: n, by: panel) {
      let isPositive = unsafe BlockEncoders.best.functions.factor_diagonal(
        gram.pointer, n, first)
      guard isPositive != 0 else { return false }
      guard first + panel < n else { break }
      let bands = ActivationGram.bands(first + panel..<n)
      pool.run(chunks: bands.count) { (index: Int) in
        unsafe BlockEncoders.best.functions.solve_panel(
          gram.pointer, n, first, bands[index].lowerBound, bands[index].upperBound)
      }
      pool.run(chunks: bands.count) { (index: Int) in
        let band = bands[bands.count - 1 - index]
        unsafe BlockEncoders.best.functions.update_rows(
          gram.pointer, n, first, band.lowerBound, band.upperBound)
      }
    }
    let inverses = gram.diagonal.map { 1 / $0 }
    pool.run(chunks: n) { (row: Int) in
      for column in 0..<row {
        unsafe gram.pointer[row * n + column] *= inverses[column]
      }
    }
    return true
  }

  /// Chooses codes anew for some rows; `planes` holds them with their scales, in `q4`.
  ///
  /// Shapes: `rows` [rowCount, columns].
  public func encode(_ rows: Span<Float>, rowCount: Int, planes: inout [[UInt8]]) {
    precondition(
      rows.count == rowCount * gram.columns, "\(rowCount) rows of \(gram.columns) columns")
    let scratch = Matrix(rows: Int(CK_FEEDBACK_SCRATCH), columns: gram.columns)
    unsafe BlockEncoders.best.update(
      rows, rowCount: rowCount, columns: gram.columns, planes: &planes
    ) { unsafe BlockEncoders.best.functions.feed_back(gram.pointer, $0, scratch.pointer) }
  }
}
