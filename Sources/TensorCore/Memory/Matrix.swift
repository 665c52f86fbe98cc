/// A row-major matrix of 32-bit floats in aligned memory: activations between layers.
///
/// Shapes: `rowCapacity` × `columns`; each row begins `stride` floats after the last, a multiple
/// of 16, so that every row is aligned to 64 bytes. The floats between `columns` and `stride` are
/// zero unless a kernel says otherwise.
public final class Matrix: Sendable {
  public let rowCapacity: Int
  public let columns: Int
  public let stride: Int
  public let storage: AlignedBuffer

  public init(rows: Int, columns: Int) {
    precondition(rows >= 0 && columns >= 0, "a matrix cannot have \(rows) x \(columns) elements")
    rowCapacity = rows
    self.columns = columns
    stride = Self.stride(columns: columns)
    storage = AlignedBuffer(byteCount: rows * stride * MemoryLayout<Float>.size)
  }

  /// Floats from one row to the next.
  public static func stride(columns: Int) -> Int { (columns + 15) & ~15 }

  /// Bytes that a matrix of this shape takes; the memory ledger counts with it.
  public static func byteCount(rows: Int, columns: Int) -> Int {
    rows * stride(columns: columns) * MemoryLayout<Float>.size
  }

  /// The first element, for kernels; valid while the matrix lives.
  @unsafe public var pointer: UnsafeMutablePointer<Float> {
    unsafe storage.pointer.assumingMemoryBound(to: Float.self)
  }

  /// Reads one row.
  public func withRow<Result, Failure: Error>(
    _ row: Int, _ body: (Span<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(row >= 0 && row < rowCapacity, "row \(row) of \(rowCapacity)")
    return try unsafe body(
      Span(_unsafeElements: UnsafeBufferPointer(start: pointer + row * stride, count: columns)))
  }

  /// Writes one row.
  public func withMutableRow<Result, Failure: Error>(
    _ row: Int, _ body: (inout MutableSpan<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(row >= 0 && row < rowCapacity, "row \(row) of \(rowCapacity)")
    var span = unsafe MutableSpan(
      _unsafeElements: UnsafeMutableBufferPointer(start: pointer + row * stride, count: columns))
    return try body(&span)
  }

  /// A copy of one row.
  public func row(_ row: Int) -> [Float] {
    withRow(row) { span in (0..<span.count).map { span[$0] } }
  }
}
