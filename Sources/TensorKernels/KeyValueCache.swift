import CKernels
import TensorCore

/// How a cache stores its numbers.
public enum CacheFormat: String, Sendable, CaseIterable {
  case f16, f32

  public var byteCount: Int { self == .f16 ? 2 : 4 }
}

/// The keys and values of one layer and one sequence: a ring in which position p takes the place
/// of position p - capacity.
///
/// Shapes: keys [heads, capacity / 16, headDimension, 16], values [heads, capacity, headDimension
/// padded to 16]. Positions 16 to a group: a group of keys fills the lanes of a register.
///
// SAFETY: the buffers live as long as the cache; stores and reads of one sequence are joined
// before the next call.
@safe public final class KeyValueCache: @unchecked Sendable {
  public let keyValueHeads: Int
  public let headDimension: Int
  /// Positions of the ring: what was asked for, rounded up to a multiple of 16.
  public let capacity: Int
  public let format: CacheFormat
  private let keys: AlignedBuffer
  private let values: AlignedBuffer

  public init(keyValueHeads: Int, headDimension: Int, capacity: Int, format: CacheFormat) {
    precondition(
      keyValueHeads > 0 && headDimension > 0 && capacity > 0,
      "a cache of \(keyValueHeads) heads, dimension \(headDimension), \(capacity) positions")
    self.keyValueHeads = keyValueHeads
    self.headDimension = headDimension
    self.capacity = Self.roundedCapacity(capacity)
    self.format = format
    let sizes = Self.sizes(
      keyValueHeads: keyValueHeads, headDimension: headDimension, capacity: capacity,
      format: format)
    keys = AlignedBuffer(byteCount: sizes.keys)
    values = AlignedBuffer(byteCount: sizes.values)
  }

  /// Resident bytes of a cache; the memory ledger counts with it.
  public static func byteCount(
    keyValueHeads: Int, headDimension: Int, capacity: Int, format: CacheFormat
  ) -> Int {
    let sizes = sizes(
      keyValueHeads: keyValueHeads, headDimension: headDimension, capacity: capacity,
      format: format)
    return sizes.keys + sizes.values
  }

  private static func sizes(
    keyValueHeads: Int, headDimension: Int, capacity: Int, format: CacheFormat
  ) -> (keys: Int, values: Int) {
    let numbers = keyValueHeads * roundedCapacity(capacity) * format.byteCount
    return (numbers * headDimension, numbers * paddedDimension(headDimension))
  }

  private static func roundedCapacity(_ capacity: Int) -> Int { (capacity + 15) / 16 * 16 }

  static func paddedDimension(_ dimension: Int) -> Int { (dimension + 15) / 16 * 16 }

  @unsafe var cache: ck_cache {
    unsafe ck_cache(
      is_f16: format == .f16 ? 1 : 0, heads: keyValueHeads, head_dimension: headDimension,
      padded_dimension: Self.paddedDimension(headDimension), capacity: capacity,
      keys: keys.pointer, values: values.pointer)
  }

  /// Stores the keys and values of positions `firstPosition` on, rounded to nearest even.
  ///
  /// Shapes: keys, values [rows, ≥ keyValueHeads · headDimension].
  public func store(keys: Matrix, values: Matrix, firstPosition: Int, rows: Int) {
    let width = keyValueHeads * headDimension
    precondition(keys.columns >= width && values.columns >= width, "\(width) columns per row")
    precondition(rows <= keys.rowCapacity && rows <= values.rowCapacity, "\(rows) rows")
    precondition(firstPosition >= 0 && rows <= capacity, "\(rows) rows into \(capacity) places")
    var cache = unsafe cache
    let function = unsafe Kernels.best.functions.store
    for row in 0..<rows {
      unsafe function(
        &cache, keys.pointer + row * keys.stride, values.pointer + row * values.stride,
        firstPosition + row)
    }
  }
}
