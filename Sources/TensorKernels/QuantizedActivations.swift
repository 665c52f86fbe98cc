import CKernels
import TensorCore

/// Activations as integers: per block of 32 columns a scale and codes rounded to nearest, ties to
/// even, in two forms: in 8 bits (the largest magnitude is 127) for q4 weights, in 13 bits (4095)
/// for q8 weights, which 8 bits would make several times less accurate.
///
/// Shapes: codes [rows, columns], scales [rows, columns / 32], sums of codes [rows, columns / 16];
/// fine codes as two bytes each, sums [rows, columns / 32]; the columns padded to a multiple of 64
/// with zeros.
///
// SAFETY: as for a matrix: the code that shares it divides the rows.
@safe public final class QuantizedActivations: @unchecked Sendable {
  public let rowCapacity: Int
  public let columns: Int
  private let codes: AlignedBuffer
  private let raisedCodes: AlignedBuffer
  private let scales: AlignedBuffer
  private let sums: AlignedBuffer
  private let offsets: AlignedBuffer
  private let fineCodes: AlignedBuffer
  private let fineScales: AlignedBuffer
  private let fineOffsets: AlignedBuffer

  public init(rows: Int, columns: Int) {
    precondition(rows >= 0 && columns >= 0, "activations cannot be \(rows) x \(columns)")
    rowCapacity = rows
    self.columns = columns
    let blocks = Self.blocks(columns: columns)
    codes = AlignedBuffer(byteCount: rows * Self.codeStride(columns: columns))
    raisedCodes = AlignedBuffer(byteCount: rows * Self.codeStride(columns: columns))
    scales = AlignedBuffer(byteCount: rows * blocks * 4)
    sums = AlignedBuffer(byteCount: rows * blocks * 4)
    offsets = AlignedBuffer(byteCount: rows * blocks * 8)
    fineCodes = AlignedBuffer(byteCount: 2 * rows * Self.codeStride(columns: columns))
    fineScales = AlignedBuffer(byteCount: rows * blocks * 4)
    fineOffsets = AlignedBuffer(byteCount: rows * blocks * 4)
  }

  /// Bytes that activations of this shape take; the memory ledger counts with it.
  public static func byteCount(rows: Int, columns: Int) -> Int {
    rows * (4 * codeStride(columns: columns) + blocks(columns: columns) * 24)
  }

  /// Bytes from one row's codes to the next: an odd number of cache lines, so that the same
  /// column of several rows does not fall into one cache set.
  private static func codeStride(columns: Int) -> Int {
    ((columns + 63) / 64 | 1) * 64
  }

  /// Blocks of 32 columns, an even number.
  static func blocks(columns: Int) -> Int { (columns + 63) / 64 * 2 }

  @unsafe var activations: ck_activations {
    unsafe ck_activations(
      codes: codes.pointer.assumingMemoryBound(to: Int8.self),
      raised_codes: raisedCodes.pointer.assumingMemoryBound(to: UInt8.self),
      scales: scales.pointer.assumingMemoryBound(to: Float.self),
      sums: sums.pointer.assumingMemoryBound(to: Int16.self),
      offsets: offsets.pointer.assumingMemoryBound(to: Int32.self),
      fine_codes: fineCodes.pointer.assumingMemoryBound(to: Int8.self),
      fine_scales: fineScales.pointer.assumingMemoryBound(to: Float.self),
      fine_offsets: fineOffsets.pointer.assumingMemoryBound(to: Int32.self),
      code_stride: Self.codeStride(columns: columns),
      blocks: Self.blocks(columns: columns))
  }
}
