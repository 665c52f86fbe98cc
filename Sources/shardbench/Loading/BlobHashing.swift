import ShardPackaging
import TensorCore
import TensorKernels

/// Hashes the bytes of some blobs with OpenSSL from memory, a window at a time.
struct BlobHashing {
  private let files: [InputFile]
  private let window = AlignedBuffer(byteCount: 16 << 20)
  private static let piece = 2 << 20

  init(_ package: VerifiedPackage, _ blobs: [BlobReference]) throws {
    files = try blobs.map { blob in
      try InputFile(path: "\(package.directory)/\(BundleFiles.blob(blob.digest))")
    }
  }

  /// Seconds of hashing; reading into memory does not count.
  func seconds(_ pool: WorkerPool) throws -> Double {
    var seconds = 0.0
    for file in files {
      for start in stride(from: 0, to: file.byteCount, by: window.byteCount) {
        let count = min(window.byteCount, file.byteCount - start)
        let pieces = (count + Self.piece - 1) / Self.piece
        func range(_ piece: Int) -> Range<Int> {
          piece * Self.piece..<min(count, (piece + 1) * Self.piece)
        }
        try pool.runThrowing(chunks: pieces) { piece in
          let range = range(piece)
          var target = unsafe MutableRawSpan(
            _unsafeBytes: UnsafeMutableRawBufferPointer(
              start: window.pointer + range.lowerBound, count: range.count))
          try file.read(into: &target, at: start + range.lowerBound)
        }
        seconds +=
          ContinuousClock().measure {
            pool.run(chunks: pieces) { piece in
              window.withBytes { bytes in _ = Digest(of: bytes.extracting(range(piece))) }
            }
          }.seconds
      }
    }
    return seconds
  }
}
