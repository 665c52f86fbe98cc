#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A block of memory aligned to 64 bytes (a cache line, an AVX-512 register) that its owner frees.
///
/// Fresh memory is zero.
///
// SAFETY: the class only hands out its memory; who writes which part of it is the business of
// the code above, which divides work so that no two threads write the same element and reads
// happen after a join.
@safe public final class AlignedBuffer: @unchecked Sendable {
  public let byteCount: Int
  private let base: UnsafeMutableRawPointer
  /// Whose memory it is, where it is not the buffer's own.
  private let arena: MemoryArena?

  /// - Parameter arena: where the memory comes from if enough is left there.
  /// Precondition: `byteCount` is not negative.
  public init(byteCount: Int, in arena: MemoryArena? = nil) {
    precondition(byteCount >= 0, "a buffer cannot have \(byteCount) bytes")
    self.byteCount = byteCount
    if let arena, let piece = unsafe arena.take(byteCount) {
      self.arena = arena
      unsafe base = piece
      return
    }
    self.arena = nil
    let rounded = max(64, (byteCount + 63) & ~63)
    // Large blocks come from mmap: zero without being touched, and given back whole.
    if rounded >= Self.mappingThreshold {
      let block = unsafe mmap(
        nil, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      guard let block = unsafe block, unsafe block != MAP_FAILED else {
        preconditionFailure("no memory for \(rounded) bytes")
      }
      #if os(Linux)
        unsafe madvise(block, rounded, Int32(MADV_HUGEPAGE))
      #endif
      unsafe base = block
    } else {
      unsafe base = .allocate(byteCount: rounded, alignment: 64)
      unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: rounded)
    }
  }

  deinit {
    guard arena == nil else { return }
    let rounded = max(64, (byteCount + 63) & ~63)
    if rounded >= Self.mappingThreshold {
      unsafe munmap(base, rounded)
    } else {
      unsafe base.deallocate()
    }
  }

  private static let mappingThreshold = 1 << 20

  /// The memory itself, for kernels; valid while the buffer lives.
  @unsafe public var pointer: UnsafeMutableRawPointer { unsafe base }

  public func withBytes<Result, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try unsafe body(
      RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: base, count: byteCount)))
  }

  public func withMutableBytes<Result, Failure: Error>(
    _ body: (inout MutableRawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var span = unsafe MutableRawSpan(
      _unsafeBytes: UnsafeMutableRawBufferPointer(start: base, count: byteCount))
    return try body(&span)
  }

  /// The bytes as numbers of one type.
  ///
  /// Precondition: `byteCount` is a multiple of the element's size.
  public func withElements<Element: BitwiseCopyable, Result, Failure: Error>(
    of type: Element.Type, _ body: (Span<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let elements = unsafe base.assumingMemoryBound(to: type)
    let count = byteCount / MemoryLayout<Element>.stride
    return try unsafe body(
      Span(_unsafeElements: UnsafeBufferPointer(start: elements, count: count)))
  }

  public func withMutableElements<Element: BitwiseCopyable, Result, Failure: Error>(
    of type: Element.Type, _ body: (inout MutableSpan<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let elements = unsafe base.assumingMemoryBound(to: type)
    let count = byteCount / MemoryLayout<Element>.stride
    var span = unsafe MutableSpan(
      _unsafeElements: UnsafeMutableBufferPointer(start: elements, count: count))
    return try body(&span)
  }
}
