import CKernels
import TensorCore

/// Activations in 8 bits: per block of 32 columns a scale (the largest magnitude / 127) and codes
/// rounded to nearest, ties to even.
///
/// Shapes: codes [rows, columns], scales [rows, columns / 32], sums of codes [rows, columns / 16].
///
// SAFETY: as for a matrix: the code that shares it divides the rows.
@safe public final class QuantizedActivations: @unchecked Sendable {
  public let rowCapacity: Int
  public let columns: Int
  private let codes: AlignedBuffer
  private let scales: AlignedBuffer
  private let offsets: AlignedBuffer

  public init(rows: Int, columns: Int) {
    precondition(rows >= 0 && columns >= 0, "activations cannot be \(rows) x \(columns)")
    rowCapacity = rows
    self.columns = columns
    let blocks = WeightFormat.blocks(columns: columns)
    codes = AlignedBuffer(byteCount: rows * Self.codeStride(columns: columns))
    scales = AlignedBuffer(byteCount: rows * blocks * 4)
    offsets = AlignedBuffer(byteCount: rows * blocks * 8)
  }

  /// Bytes that activations of this shape take; the memory ledger counts with it.
  public static func byteCount(rows: Int, columns: Int) -> Int {
    rows * (codeStride(columns: columns) + WeightFormat.blocks(columns: columns) * 12)
  }

  /// Bytes from one row's codes to the next: an odd number of cache lines, so that the same
  /// column of several rows does not fall into one cache set.
  private static func codeStride(columns: Int) -> Int {
    ((columns + 63) / 64 | 1) * 64
  }

  private var blocks: Int { WeightFormat.blocks(columns: columns) }

  @unsafe func codes(row: Int) -> UnsafeMutablePointer<Int8> {
    unsafe codes.pointer.assumingMemoryBound(to: Int8.self)
      + row * Self.codeStride(columns: columns)
  }

  @unsafe func scales(row: Int) -> UnsafeMutablePointer<Float> {
    unsafe scales.pointer.assumingMemoryBound(to: Float.self) + row * blocks
  }

  @unsafe func offsets(row: Int) -> UnsafeMutablePointer<Int32> {
    unsafe offsets.pointer.assumingMemoryBound(to: Int32.self) + row * blocks * 2
  }

  @unsafe var activations: ck_activations {
    unsafe ck_activations(
      codes: codes(row: 0), scales: scales(row: 0), offsets: offsets(row: 0),
      code_stride: Self.codeStride(columns: columns), blocks: blocks)
  }
}
