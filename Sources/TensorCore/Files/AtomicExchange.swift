#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Exchanges what two names mean, in one step: at every moment both name something whole.
public enum AtomicExchange {
  #if os(Linux)
    /// `renameat2`, which the C library has but its Swift module does not show.
    private typealias Rename2 =
      @convention(c) (
        Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32
      ) -> Int32
    private static let exchangeFlag: UInt32 = 2

    /// 0, or `errno`; ENOSYS where the system has no such call.
    public static func exchange(_ first: String, _ second: String) -> Int32 {
      guard let symbol = unsafe dlsym(nil, "renameat2") else { return ENOSYS }
      // SAFETY: the symbol is the C library's function of that name; its signature is fixed.
      let rename = unsafe unsafeBitCast(symbol, to: Rename2.self)
      return unsafe rename(AT_FDCWD, first, AT_FDCWD, second, exchangeFlag) == 0 ? 0 : errno
    }
  #else
    /// 0, or `errno`.
    public static func exchange(_ first: String, _ second: String) -> Int32 {
      unsafe renamex_np(first, second, UInt32(RENAME_SWAP)) == 0 ? 0 : errno
    }
  #endif
}
