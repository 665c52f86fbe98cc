import Synchronization
import TensorCore

/// Buffers and contexts with which one thread reads or makes a chunk or two at a time.
final class ChunkWorkspace {
  let zstandard = ZstandardReader()
  let literals = ZstandardWriter(.literals)
  let matches = ZstandardWriter(.matches)
  let digest = DigestStream()
  private var buffers: [AlignedBuffer?] = [nil, nil, nil]

  /// Which of the buffers: two for chunks, one to change their form.
  enum Place: Int { case first, second, spare }

  /// A buffer of at least `byteCount` bytes; the same one in the same place, where it suffices.
  func buffer(_ place: Place, byteCount: Int) -> AlignedBuffer {
    if let buffer = buffers[place.rawValue], buffer.byteCount >= byteCount { return buffer }
    buffers[place.rawValue] = nil
    let buffer = AlignedBuffer(byteCount: byteCount)
    buffers[place.rawValue] = buffer
    return buffer
  }

  /// Gives up what is too large for the next chunks: together, the buffers take no more than two
  /// chunks of the largest length, or three of half of it.
  func trim(forPair isPair: Bool) {
    let half = ManifestLimits.chunkByteCount / 2
    if isPair {
      for place in buffers.indices where (buffers[place]?.byteCount ?? 0) > half {
        buffers[place] = nil
      }
    } else {
      buffers[Place.second.rawValue] = nil
    }
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
    try withMutableRange(0..<count, body)
  }

  /// Some of the bytes, for writing.
  func withMutableRange<Result, Failure: Error>(
    _ range: Range<Int>, _ body: (inout MutableRawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= byteCount,
      "bytes \(range) of a buffer of \(byteCount)")
    var bytes = unsafe MutableRawSpan(
      _unsafeBytes: UnsafeMutableRawBufferPointer(
        start: pointer + range.lowerBound, count: range.count))
    return try body(&bytes)
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
