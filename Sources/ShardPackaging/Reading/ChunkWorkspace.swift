import Synchronization
import TensorCore

/// Buffers and contexts with which one thread reads or makes one chunk at a time.
final class ChunkWorkspace {
  let zstandard = ZstandardContext()
  let digest = DigestStream()
  private var buffers: [AlignedBuffer?] = [nil, nil, nil]

  enum Purpose: Int { case raw, stored, split }

  /// A buffer of at least `byteCount` bytes; the same one for the same purpose.
  func buffer(_ purpose: Purpose, byteCount: Int) -> AlignedBuffer {
    if let buffer = buffers[purpose.rawValue], buffer.byteCount >= byteCount { return buffer }
    buffers[purpose.rawValue] = nil
    let buffer = AlignedBuffer(byteCount: byteCount)
    buffers[purpose.rawValue] = buffer
    return buffer
  }

  func digest(of bytes: RawSpan) -> Digest {
    digest.update(bytes)
    return digest.finish()
  }
}

extension AlignedBuffer {
  /// The first `count` bytes.
  func withPrefix<Result, Failure: Error>(
    _ count: Int, _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withBytes { bytes throws(Failure) in
      try body(bytes.extracting(first: count))
    }
  }

  /// The first `count` bytes, for writing.
  func withMutablePrefix<Result, Failure: Error>(
    _ count: Int, _ body: (inout MutableRawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(count <= byteCount, "\(count) bytes of a buffer of \(byteCount)")
    var prefix = unsafe MutableRawSpan(
      _unsafeBytes: UnsafeMutableRawBufferPointer(start: pointer, count: count))
    return try body(&prefix)
  }
}

/// Lends workspaces to threads: as many exist as threads work at once.
//
// SAFETY: a workspace is either in the list, under the lock, or with the one thread that took it.
@safe final class WorkspacePool: @unchecked Sendable {
  private let free = Mutex<Int>(0)
  private var workspaces: [ChunkWorkspace] = []

  init() {}

  func with<Result>(_ body: (ChunkWorkspace) throws -> Result) rethrows -> Result {
    let workspace = free.withLock { _ in workspaces.popLast() } ?? ChunkWorkspace()
    defer { free.withLock { _ in workspaces.append(workspace) } }
    return try body(workspace)
  }

  /// Gives the memory of idle workspaces back.
  func clear() {
    free.withLock { _ in workspaces.removeAll() }
  }
}
