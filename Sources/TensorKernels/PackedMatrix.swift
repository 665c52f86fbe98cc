import CKernels
import TensorCore

/// A weight matrix in the layout of the kernels: groups of 16 rows, one row in each SIMD lane.
///
/// Shapes: `rows` output channels × `columns` inputs. Fresh weights are zero.
///
// SAFETY: the buffers live as long as the matrix. `store` writes disjoint bytes for disjoint
// rows, and products read only after the stores have been joined.
@safe public final class PackedMatrix: @unchecked Sendable {
  public let format: WeightFormat
  public let rows: Int
  public let columns: Int
  private let codes: AlignedBuffer
  private let blockScales: AlignedBuffer?
  private let rowScales: AlignedBuffer?

  /// - Parameter arena: where the memory comes from if enough is left there.
  public init(_ format: WeightFormat, rows: Int, columns: Int, in arena: MemoryArena? = nil) {
    precondition(rows >= 0 && columns >= 0, "a matrix cannot have \(rows) x \(columns) weights")
    self.format = format
    self.rows = rows
    self.columns = columns
    let sizes = Self.sizes(format, rows: rows, columns: columns)
    codes = AlignedBuffer(byteCount: sizes.codes, in: arena)
    blockScales = format == .q8 ? AlignedBuffer(byteCount: sizes.blockScales, in: arena) : nil
    let hasScales = format.needsQuantizedActivations
    rowScales = hasScales ? AlignedBuffer(byteCount: sizes.rowScales, in: arena) : nil
  }

  /// What a matrix takes of an arena.
  public static func arenaByteCount(_ format: WeightFormat, rows: Int, columns: Int) -> Int {
    let sizes = sizes(format, rows: rows, columns: columns)
    return MemoryArena.space(sizes.codes) + MemoryArena.space(sizes.blockScales)
      + MemoryArena.space(sizes.rowScales)
  }

  /// Resident bytes of a matrix; the memory ledger counts with it.
  public static func byteCount(_ format: WeightFormat, rows: Int, columns: Int) -> Int {
    let sizes = sizes(format, rows: rows, columns: columns)
    return sizes.codes + sizes.blockScales + sizes.rowScales
  }

  private static func sizes(
    _ format: WeightFormat, rows: Int, columns: Int
  ) -> (codes: Int, blockScales: Int, rowScales: Int) {
    let padded = paddedRows(rows)
    let planes = format.planeBytesPerRow(columns: columns)
    switch format {
    case .f32, .f16, .bf16: return (padded * planes[0], 0, 0)
    case .q8: return (padded * planes[2], padded * planes[1], padded * 4)
    case .q4: return (padded / 16 * ((columns + 63) / 64) * Int(CK_Q4_UNIT), 0, padded * 4)
    default: return (padded * planes[0], 0, 0)
    }
  }

  private static func paddedRows(_ rows: Int) -> Int { (rows + 15) / 16 * 16 }

  var groups: Int { Self.paddedRows(rows) / 16 }

  /// Bytes that a product reads of this matrix.
  public var byteCount: Int { Self.byteCount(format, rows: rows, columns: columns) }

  private var blocks: Int {
    if format == .q4 { return QuantizedActivations.blocks(columns: columns) }
    return format.isGGML
      ? format.ggmlBlocks(columns: columns) : WeightFormat.blocks(columns: columns)
  }

  @unsafe var weights: ck_weights {
    unsafe ck_weights(
      format: format.index, rows: rows, columns: columns,
      blocks: blocks,
      codes: codes.pointer.assumingMemoryBound(to: UInt8.self),
      block_scales: blockScales.map { unsafe $0.pointer.assumingMemoryBound(to: UInt8.self) },
      row_scales: rowScales.map { unsafe $0.pointer.assumingMemoryBound(to: Float.self) })
  }

  /// Stores the canonical bytes of some rows of one plane, in any order.
  ///
  /// Several threads may store at the same time if their rows or planes differ.
  ///
  /// Precondition: `bytes` holds exactly these rows.
  public func store(plane: Int, rows: Range<Int>, _ bytes: RawSpan) {
    let perRow = bytesPerRow(plane: plane)
    precondition(
      rows.lowerBound >= 0 && rows.upperBound <= self.rows,
      "rows \(rows) of a matrix of \(self.rows)")
    precondition(
      bytes.byteCount == rows.count * perRow,
      "\(rows.count) rows have \(rows.count * perRow) bytes, found \(bytes.byteCount)")
    store(plane: plane, byteOffset: rows.lowerBound * perRow, bytes)
  }

  /// Stores canonical bytes of one plane from an offset on, whether or not they are whole rows.
  ///
  /// Precondition: offset and length are multiples of 4 except at the plane's end.
  public func store(plane: Int, byteOffset: Int, _ bytes: RawSpan) {
    let perRow = bytesPerRow(plane: plane)
    precondition(
      byteOffset >= 0 && bytes.byteCount <= rows * perRow - byteOffset,
      "bytes \(byteOffset) to \(byteOffset + bytes.byteCount) of \(rows * perRow)")
    guard bytes.byteCount > 0 else { return }
    unsafe bytes.withUnsafeBytes { source in
      guard let base = source.baseAddress else { return }
      if format.needsQuantizedActivations && plane == 0 {
        guard let target = rowScales else { return }
        unsafe (target.pointer + byteOffset).copyMemory(from: base, byteCount: source.count)
        return
      }
      var done = 0
      while done < source.count {
        let (row, first) = (byteOffset + done).quotientAndRemainder(dividingBy: perRow)
        let part = unsafe (base + done).assumingMemoryBound(to: UInt8.self)
        if first == 0, row % 16 == 0, source.count - done >= 16 * perRow {
          unsafe storeGroup(plane: plane, row: row, part, perRow)
          done += 16 * perRow
          continue
        }
        let count = min(perRow - first, source.count - done)
        unsafe storeRow(plane: plane, row: row, first: first, part, count)
        done += count
      }
    }
  }

  private func bytesPerRow(plane: Int) -> Int {
    let planes = format.planeBytesPerRow(columns: columns)
    precondition(plane >= 0 && plane < planes.count, "plane \(plane) of \(planes.count)")
    return planes[plane]
  }

  /// Stores 16 whole rows that make up a group, several times faster than row by row.
  private func storeGroup(
    plane: Int, row: Int, _ source: UnsafePointer<UInt8>, _ perRow: Int
  ) {
    var weights = unsafe weights
    if format.needsQuantizedActivations && plane == 1 {
      unsafe ck_pack_group_block_scales(&weights, row, source, perRow)
    } else {
      unsafe ck_pack_group_codes(&weights, row, source, perRow)
    }
  }

  private func storeRow(
    plane: Int, row: Int, first: Int, _ source: UnsafePointer<UInt8>, _ count: Int
  ) {
    var weights = unsafe weights
    if format.needsQuantizedActivations && plane == 1 {
      unsafe ck_pack_block_scales(&weights, row, first, source, count)
    } else {
      precondition(
        format.isGGML || first % (format == .f16 || format == .bf16 ? 2 : 4) == 0,
        "weights are stored in whole words, not from byte \(first) of a row on")
      unsafe ck_pack_codes(&weights, row, first, source, count)
    }
  }
}
