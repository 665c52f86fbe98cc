import TensorCore

/// Writes one blob under a temporary name and, when it is complete, renames it to the digest of
/// its bytes.
final class BlobWriter {
  private let directory: String
  /// To be synchronized when it is complete.
  let file: OutputFile
  private let digest = WholeDigest()
  private var byteCount = 0
  /// Bytes that are on their way to the disk.
  private var begun = 0

  /// Bytes that are sent to the disk in one go.
  private static let portion = 8 << 20

  /// - Parameters:
  ///   - directory: `blobs/sha256` of the bundle that is being made.
  ///   - number: tells this blob's temporary name from others.
  init(directory: String, number: Int) throws {
    self.directory = directory
    file = try OutputFile(path: "\(directory)/\(number).partial")
  }

  /// Appends bytes; returns their digest.
  func append(_ bytes: RawSpan) throws -> Digest {
    let own = digest.append(bytes)
    try file.write(bytes, at: byteCount)
    byteCount += bytes.byteCount
    if byteCount - begun >= Self.portion {
      file.beginSynchronizing(begun..<byteCount)
      begun = byteCount
    }
    return own
  }

  /// Gives the blob its name.
  func finish() throws -> BlobReference {
    let digest = digest.finish()
    file.beginSynchronizing(begun..<byteCount)
    try Directory.rename(file.path, to: "\(directory)/\(digest.hexadecimal)")
    return BlobReference(digest: digest, byteCount: byteCount)
  }
}
