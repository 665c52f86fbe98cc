#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A plain connection to a port of this machine that says whatever a test wants.
final class RawSocket {
  private let descriptor: Int32

  init?(port: Int) {
    #if canImport(Glibc)
      descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      descriptor = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = UInt16(port).bigEndian
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let status = unsafe withUnsafePointer(to: &name) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else {
      close(descriptor)
      return nil
    }
    var limit = timeval(tv_sec: 6, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      unsafe setsockopt(
        descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  deinit { close(descriptor) }

  /// Sends bytes as far as the other side takes them.
  func send(_ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { buffer -> Int in
        let part = unsafe UnsafeRawBufferPointer(rebasing: buffer[sent...])
        #if canImport(Glibc)
          return unsafe Glibc.send(
            descriptor, part.baseAddress, part.count, Int32(MSG_NOSIGNAL))
        #else
          return unsafe Darwin.send(descriptor, part.baseAddress, part.count, 0)
        #endif
      }
      guard count > 0 else { return }
      sent += count
    }
  }

  /// Says that nothing more comes, and goes on reading.
  func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Reads until the other side closes; nil where it does not within 6 s.
  func readToEnd() -> [UInt8]? {
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
      if count == 0 { return all }
      if count < 0 { return errno == ECONNRESET ? all : nil }
      all += buffer[..<count]
    }
  }
}
