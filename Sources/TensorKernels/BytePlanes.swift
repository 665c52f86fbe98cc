import CKernels

/// The bytes of numbers, taken apart: part p holds byte p of every number, in order.
public enum BytePlanes {
  /// Precondition: `width` is 2 or 4, `source` holds whole numbers of it and `target` has its
  /// length.
  public static func split(_ source: RawSpan, width: Int, into target: inout MutableRawSpan) {
    let count = count(source.byteCount, width: width)
    precondition(target.byteCount == source.byteCount, "parts have another length than numbers")
    guard count > 0 else { return }
    unsafe source.withUnsafeBytes { source in
      unsafe target.withUnsafeMutableBytes { target in
        guard let from = source.baseAddress, let to = target.baseAddress else {
          return
        }
        unsafe ck_split_bytes(from, count, width, to)
      }
    }
  }

  /// The inverse of `split`, for the numbers from `first` on that `target` takes.
  ///
  /// Precondition: both hold whole numbers, and `source` that many from `first` on.
  public static func join(
    _ source: RawSpan, width: Int, from first: Int = 0, into target: inout MutableRawSpan
  ) {
    let total = count(source.byteCount, width: width)
    let count = count(target.byteCount, width: width)
    precondition(
      first >= 0 && first <= total - count, "numbers \(first) to \(first + count) of \(total)")
    guard count > 0 else { return }
    unsafe source.withUnsafeBytes { source in
      unsafe target.withUnsafeMutableBytes { target in
        guard let from = source.baseAddress, let to = target.baseAddress else {
          return
        }
        unsafe ck_join_bytes(from, total, first, count, width, to)
      }
    }
  }

  private static func count(_ byteCount: Int, width: Int) -> Int {
    precondition(width == 2 || width == 4, "numbers of \(width) bytes are not taken apart")
    precondition(byteCount % width == 0, "\(byteCount) bytes are no whole numbers of \(width)")
    return byteCount / width
  }

  /// How often each byte stands in each part: `width` tables of 256 counts, one after the other.
  ///
  /// Precondition: `width` is 1, 2 or 4, and there are less than 2³² bytes.
  public static func histograms(_ source: RawSpan, width: Int) -> [UInt32] {
    precondition([1, 2, 4].contains(width), "numbers of \(width) bytes are not taken apart")
    precondition(source.byteCount <= UInt32.max, "\(source.byteCount) bytes are too many to count")
    var quarters = [UInt32](repeating: 0, count: 4 * 256)
    unsafe quarters.withUnsafeMutableBytes { counts in
      unsafe source.withUnsafeBytes { source in
        guard let from = source.baseAddress, let base = counts.baseAddress else {
          return
        }
        unsafe ck_count_bytes(from, source.count, base.assumingMemoryBound(to: UInt32.self))
      }
    }
    var tables = [UInt32](repeating: 0, count: width * 256)
    for part in 0..<4 {
      for byte in 0..<256 { tables[part % width * 256 + byte] += quarters[part * 256 + byte] }
    }
    return tables
  }
}
