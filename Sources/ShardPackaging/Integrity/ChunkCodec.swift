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
