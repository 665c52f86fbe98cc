import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// One block of memory that many buffers share, in huge pages where the kernel grants them.
///
/// Buffers side by side leave no ends in small pages, which cost a fault each when they are first
/// touched and a place in the processor's table when they are read. Fresh memory is zero.
///
// SAFETY: each piece is given away once; the block lives until the last buffer is gone.
@safe public final class MemoryArena: @unchecked Sendable {
  public let byteCount: Int
  private let base: UnsafeMutableRawPointer
  private let used = Mutex(0)

  private static let hugePage = 2 << 20

  /// Precondition: `byteCount` is not negative.
  public init(byteCount: Int) {
    precondition(byteCount >= 0, "an arena cannot have \(byteCount) bytes")
    self.byteCount = max(64, Self.space(byteCount))
    unsafe base = Self.map(self.byteCount)
  }

  deinit { unsafe munmap(base, byteCount) }

  /// What a buffer takes of an arena: whole cache lines.
  public static func space(_ byteCount: Int) -> Int { (byteCount + 63) & ~63 }

  /// A piece that nobody else gets; nil where too little is left.
  @unsafe func take(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    let space = Self.space(byteCount)
    let start: Int? = used.withLock { used in
      guard used + space <= self.byteCount else { return nil }
      defer { used += space }
      return used
    }
    return unsafe start.map { unsafe base + $0 }
  }

  /// Fresh memory that begins with a huge page.
  private static func map(_ byteCount: Int) -> UnsafeMutableRawPointer {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let length = (byteCount + page - 1) / page * page
    let block = unsafe mmap(
      nil, length + hugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let block = unsafe block, unsafe block != MAP_FAILED else {
      preconditionFailure("no memory for \(byteCount) bytes")
    }
    // Only address space: what lies before and behind goes back untouched.
    let before = (hugePage - Int(bitPattern: block) % hugePage) % hugePage
    if before > 0 { unsafe munmap(block, before) }
    let start = unsafe block + before
    if before < hugePage { unsafe munmap(start + length, hugePage - before) }
    #if os(Linux)
      unsafe madvise(start, length, Int32(MADV_HUGEPAGE))
    #endif
    return unsafe start
  }
}
