import CZstd

/// Decompresses single frames; one instance serves one thread at a time.
///
// SAFETY: the context is created on first use, freed in `deinit` and never handed out.
@safe final class ZstandardReader {
  private var context: OpaquePointer?

  init() {}

  deinit { unsafe ZSTD_freeDCtx(context) }

  /// Decompresses one frame into exactly the length of `target`; says whether it did.
  func decompress(_ source: RawSpan, into target: inout MutableRawSpan) -> Bool {
    if unsafe context == nil { unsafe context = ZSTD_createDCtx() }
    let size = unsafe source.withUnsafeBytes { source in
      unsafe target.withUnsafeMutableBytes { target in
        unsafe ZSTD_decompressDCtx(
          context, target.baseAddress, target.count, source.baseAddress, source.count)
      }
    }
    return ZSTD_isError(size) == 0 && size == target.byteCount
  }
}

/// Compresses single frames; one instance serves one thread at a time.
///
// SAFETY: the context is created on first use, freed in `deinit` and never handed out.
@safe final class ZstandardWriter {
  /// What a frame is made of.
  enum Effort {
    /// Bytes one by one, in Huffman's code, and long runs: numbers repeat nothing else, and short
    /// matches found by chance cost more than they save.
    case literals
    /// What stands twice, searched for.
    case matches
  }

  private let effort: Effort
  private var context: OpaquePointer?

  init(_ effort: Effort) { self.effort = effort }

  deinit { unsafe ZSTD_freeCCtx(context) }

  /// What decides the bytes of a frame, for the manifest.
  static var fingerprint: String {
    let version = ZSTD_versionNumber()
    return "zstd \(version / 10000).\(version / 100 % 100).\(version % 100), numbers by "
      + "literals, files by level \(matchLevel)"
  }

  private static let matchLevel: Int32 = 9
  /// Large enough that every chunk is a single segment.
  private static let windowLog: Int32 = 22

  /// The library judges blocks of 40 KiB and more by a sample, and stores those raw in which no
  /// byte stands out; weights of 8 bits are such.
  private static let blockByteCount = 39 << 10

  /// The most bytes that a frame of `count` raw bytes can take.
  static func bound(_ count: Int) -> Int {
    Int(ZSTD_compressBound(count)) + 3 * (count / blockByteCount + 4)
  }

  /// Compresses `source`, which consists of so many parts of equal length, into `target`; nil
  /// where the frame does not fit in it.
  func compress(_ source: RawSpan, parts: Int, into target: inout MutableRawSpan) -> Int? {
    precondition(source.byteCount % parts == 0, "\(source.byteCount) bytes in \(parts) parts")
    if unsafe context == nil { configure() }
    return unsafe source.withUnsafeBytes { source in
      unsafe target.withUnsafeMutableBytes { target in
        switch effort {
        case .literals: unsafe compressBlocks(source, parts: parts, into: target)
        case .matches: unsafe compressWhole(source, into: target)
        }
      }
    }
  }

  private func compressWhole(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) -> Int? {
    let size = unsafe ZSTD_compress2(
      context, target.baseAddress, target.count, source.baseAddress, source.count)
    return ZSTD_isError(size) == 0 ? Int(size) : nil
  }

  /// Every part begins a block, and so has a code of its own.
  private func compressBlocks(
    _ source: UnsafeRawBufferPointer, parts: Int, into target: UnsafeMutableRawBufferPointer
  ) -> Int? {
    var output = unsafe ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
    var input = unsafe ZSTD_inBuffer(src: source.baseAddress, size: 0, pos: 0)
    unsafe ZSTD_CCtx_reset(context, ZSTD_reset_session_only)
    unsafe ZSTD_CCtx_setPledgedSrcSize(context, UInt64(source.count))
    let length = source.count / parts
    for part in 0..<parts {
      for start in stride(from: 0, to: length, by: Self.blockByteCount) {
        let end = part * length + min(length, start + Self.blockByteCount)
        unsafe input.size = end
        let directive = end == source.count ? ZSTD_e_end : ZSTD_e_flush
        let rest = unsafe ZSTD_compressStream2(context, &output, &input, directive)
        // Anything left, or an error, has no room in `target`.
        guard rest == 0 else { return nil }
      }
    }
    return unsafe output.pos
  }

  private func configure() {
    unsafe context = ZSTD_createCCtx()
    switch effort {
    case .literals:
      set(ZSTD_c_compressionLevel, 1)
      // The smallest table and the longest matches there are.
      set(ZSTD_c_strategy, Int32(ZSTD_fast.rawValue))
      set(ZSTD_c_hashLog, 6)
      set(ZSTD_c_minMatch, 7)
    case .matches: set(ZSTD_c_compressionLevel, Self.matchLevel)
    }
    set(ZSTD_c_windowLog, Self.windowLog)
    set(ZSTD_c_contentSizeFlag, 1)
    set(ZSTD_c_checksumFlag, 0)
    set(ZSTD_c_dictIDFlag, 0)
  }

  private func set(_ parameter: ZSTD_cParameter, _ value: Int32) {
    let result = unsafe ZSTD_CCtx_setParameter(context, parameter, value)
    precondition(ZSTD_isError(result) == 0, "this Zstandard library refuses a parameter")
  }
}
