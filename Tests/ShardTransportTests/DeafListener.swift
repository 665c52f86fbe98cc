#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A socket that listens and never accepts: connections are made, and nobody answers.
final class DeafListener {
  private let descriptor: Int32

  init() {
    #if canImport(Glibc)
      descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      descriptor = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    listen(descriptor, 4)
  }

  deinit { close(descriptor) }

  /// Where it listens; the system has chosen it.
  var port: Int? {
    var name = sockaddr_in()
    var count = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = unsafe withUnsafeMutablePointer(to: &name) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe getsockname(descriptor, $0, &count)
      }
    }
    return status == 0 && name.sin_port != 0 ? Int(UInt16(bigEndian: name.sin_port)) : nil
  }
}
