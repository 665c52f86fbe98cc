#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What this process takes of the machine.
public enum ProcessMemory {
  /// Most bytes that have been resident so far; 0 where the system does not say.
  ///
  /// On Linux it is VmHWM: `getrusage` would count the parent's memory before `exec` too.
  public static var peakResidentBytes: Int {
    #if canImport(Glibc)
      return bytes(of: "VmHWM:")
    #else
      var usage = rusage()
      return unsafe getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0
    #endif
  }

  /// Bytes that are resident now; 0 where the system does not say.
  public static var residentBytes: Int {
    #if canImport(Glibc)
      return bytes(of: "VmRSS:")
    #else
      return peakResidentBytes
    #endif
  }

  /// Begins to count the peak anew, so that a measurement leaves out what was before; false where
  /// the system cannot.
  public static func forgetPeak() -> Bool {
    #if canImport(Glibc)
      let descriptor = unsafe open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)
      guard descriptor >= 0 else { return false }
      defer { close(descriptor) }
      return unsafe write(descriptor, "5", 1) == 1
    #else
      return false
    #endif
  }

  #if canImport(Glibc)
    /// A line of /proc/self/status that counts kilobytes.
    private static func bytes(of name: String) -> Int {
      let descriptor = unsafe open("/proc/self/status", O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { return 0 }
      defer { close(descriptor) }
      var bytes = [UInt8](repeating: 0, count: 4096)
      let count = unsafe read(descriptor, &bytes, bytes.count)
      guard count > 0 else { return 0 }
      let text = String(decoding: bytes[..<count], as: UTF8.self)
      for line in text.split(separator: "\n") where line.hasPrefix(name) {
        let digits = line.filter { $0.isASCII && $0.isNumber }
        return (Int(digits) ?? 0) * 1024
      }
      return 0
    }
  #endif
}
