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
