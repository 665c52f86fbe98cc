import CZstd

/// The header of a Zstandard frame as this format admits it: RFC 8878 §3.1.1 with the content
/// size present, one segment, no dictionary, no checksum (our own digests are stronger).
enum ZstandardFrame {
  private static let magic: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]

  /// Says what is wrong with a stored chunk before the decompressor sees it; nil when it is one
  /// frame that promises exactly `contentByteCount` bytes.
  static func objection(to stored: RawSpan, contentByteCount: Int) -> String? {
    let header = bytes(stored, count: 14)
    guard header.count >= 6 else { return "it is too short for a Zstandard frame" }
    guard header[0..<4].elementsEqual(magic) else {
      return isSkippable(header) ? "it begins with a skippable frame" : "it is no Zstandard frame"
    }
    let descriptor = header[4]
    guard descriptor & 0b0000_0011 == 0 else { return "its frame asks for a dictionary" }
    guard descriptor & 0b0010_0000 != 0 else {
      return "its frame gives a window instead of a single segment with the content size"
    }
    guard descriptor & 0b0001_1100 == 0 else {
      return "its frame header sets the checksum flag or reserved bits"
    }
    guard let size = contentSize(header, descriptor: descriptor) else {
      return "it is too short for a Zstandard frame"
    }
    guard size == UInt64(contentByteCount) else {
      return "its frame promises \(size) bytes instead of \(contentByteCount)"
    }
    let frame = unsafe stored.withUnsafeBytes { buffer in
      unsafe ZSTD_findFrameCompressedSize(buffer.baseAddress, buffer.count)
    }
    guard ZSTD_isError(frame) == 0 else { return "its frame is cut short or malformed" }
    guard frame == stored.byteCount else {
      return "\(stored.byteCount - frame) bytes follow its frame"
    }
    return nil
  }

  private static func bytes(_ span: RawSpan, count: Int) -> [UInt8] {
    (0..<min(count, span.byteCount)).map { offset in
      unsafe span.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }
  }

  private static func isSkippable(_ header: [UInt8]) -> Bool {
    header[0] & 0xF0 == 0x50 && header[1] == 0x2A && header[2] == 0x4D && header[3] == 0x18
  }

  private static func contentSize(_ header: [UInt8], descriptor: UInt8) -> UInt64? {
    let fieldLength = [1, 2, 4, 8][Int(descriptor >> 6)]
    guard header.count >= 5 + fieldLength else { return nil }
    var value: UInt64 = 0
    for (index, byte) in header[5..<(5 + fieldLength)].enumerated() {
      value |= UInt64(byte) << UInt64(8 * index)
    }
    guard fieldLength == 2 else { return value }
    let (sum, overflow) = value.addingReportingOverflow(256)
    return overflow ? nil : sum
  }
}

/// Compresses and decompresses single frames; one instance serves one thread at a time.
///
// SAFETY: the contexts are created on first use, freed in `deinit` and never handed out.
@safe final class ZstandardContext {
  private var compression: OpaquePointer?
  private var decompression: OpaquePointer?

  /// What decides the bytes of a frame, for the manifest.
  static var fingerprint: String {
    let version = ZSTD_versionNumber()
    return "zstd \(version / 10000).\(version / 100 % 100).\(version % 100) level \(level)"
  }

  private static let level: Int32 = 1
  /// Large enough that every chunk is a single segment.
  private static let windowLog: Int32 = 22

  init() {}

  deinit {
    unsafe ZSTD_freeCCtx(compression)
    unsafe ZSTD_freeDCtx(decompression)
  }

  /// The most bytes that a frame of `count` raw bytes can take.
  static func bound(_ count: Int) -> Int { Int(ZSTD_compressBound(count)) }

  /// Compresses into `target`; nil where the frame does not fit in it.
  func compress(_ source: RawSpan, into target: inout MutableRawSpan) -> Int? {
    if unsafe compression == nil {
      unsafe compression = ZSTD_createCCtx()
      set(ZSTD_c_compressionLevel, Self.level)
      set(ZSTD_c_windowLog, Self.windowLog)
      set(ZSTD_c_contentSizeFlag, 1)
      set(ZSTD_c_checksumFlag, 0)
      set(ZSTD_c_dictIDFlag, 0)
    }
    let size = unsafe source.withUnsafeBytes { source in
      unsafe target.withUnsafeMutableBytes { target in
        unsafe ZSTD_compress2(
          compression, target.baseAddress, target.count, source.baseAddress, source.count)
      }
    }
    return ZSTD_isError(size) == 0 ? Int(size) : nil
  }

  private func set(_ parameter: ZSTD_cParameter, _ value: Int32) {
    let result = unsafe ZSTD_CCtx_setParameter(compression, parameter, value)
    precondition(ZSTD_isError(result) == 0, "this Zstandard library refuses a parameter")
  }

  /// Decompresses one frame into exactly the length of `target`; says whether it did.
  func decompress(_ source: RawSpan, into target: inout MutableRawSpan) -> Bool {
    if unsafe decompression == nil { unsafe decompression = ZSTD_createDCtx() }
    let size = unsafe source.withUnsafeBytes { source in
      unsafe target.withUnsafeMutableBytes { target in
        unsafe ZSTD_decompressDCtx(
          decompression, target.baseAddress, target.count, source.baseAddress, source.count)
      }
    }
    return ZSTD_isError(size) == 0 && size == target.byteCount
  }
}
