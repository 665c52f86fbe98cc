import TensorCore

/// Writes one blob under a temporary name and, when all its bytes are on the disk, renames it to
/// their digest.
final class BlobWriter {
  private let directory: String
  private let file: OutputFile
  private let digest = DigestStream()
  private var byteCount = 0

  /// - Parameters:
  ///   - directory: `blobs/sha256` of the bundle that is being made.
  ///   - number: tells this blob's temporary name from others.
  init(directory: String, number: Int) throws {
    self.directory = directory
    file = try OutputFile(path: "\(directory)/\(number).partial")
  }

  func append(_ bytes: RawSpan) throws {
    digest.update(bytes)
    try file.write(bytes, at: byteCount)
    byteCount += bytes.byteCount
  }

  func finish() throws -> BlobReference {
    try file.synchronize()
    let digest = digest.finish()
    try Directory.rename(file.path, to: "\(directory)/\(digest.hexadecimal)")
    return BlobReference(digest: digest, byteCount: byteCount)
  }
}
