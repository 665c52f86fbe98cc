/// How the bytes of a chunk are stored.
public enum ChunkCodec: String, Sendable, CaseIterable {
  /// As they are.
  case raw = "raw"
  /// One Zstandard frame.
  case zstd = "zstd"
  /// The even bytes, then the odd ones, in one Zstandard frame: exponents of 16-bit numbers
  /// stand together and compress.
  case zstdSplit2 = "zstd+split2"
  /// The same in four parts, for 32-bit numbers.
  case zstdSplit4 = "zstd+split4"

  /// Bytes of one number whose parts stand apart; 1 where they do not.
  public var splitByteCount: Int {
    switch self {
    case .raw, .zstd: 1
    case .zstdSplit2: 2
    case .zstdSplit4: 4
    }
  }
}

/// Byte planes: part p of the split form holds byte p of every number, in order.
enum BytePlanes {
  /// Precondition: `source` holds whole numbers of `width` bytes and `target` has its length.
  static func split(_ source: RawSpan, width: Int, into target: inout MutableRawSpan) {
    let count = source.byteCount / width
    precondition(
      source.byteCount == count * width && target.byteCount == source.byteCount,
      "\(source.byteCount) bytes are no whole numbers of \(width)")
    unsafe source.withUnsafeBytes { source in
      unsafe target.withUnsafeMutableBytes { target in
        for part in 0..<width {
          for index in 0..<count {
            unsafe target[part * count + index] = source[index * width + part]
          }
        }
      }
    }
  }

  /// The inverse of `split`.
  static func join(_ source: RawSpan, width: Int, into target: inout MutableRawSpan) {
    let count = source.byteCount / width
    precondition(
      source.byteCount == count * width && target.byteCount == source.byteCount,
      "\(source.byteCount) bytes are no whole numbers of \(width)")
    unsafe source.withUnsafeBytes { source in
      unsafe target.withUnsafeMutableBytes { target in
        for part in 0..<width {
          for index in 0..<count {
            unsafe target[index * width + part] = source[part * count + index]
          }
        }
      }
    }
  }
}
