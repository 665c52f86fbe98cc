import ShardTransport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A plain socket that says to a node whatever a test wants.
final class RawPeer {
  private let descriptor: Int32

  init?(_ address: HostPort) {
    #if canImport(Glibc)
      descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      descriptor = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = UInt16(address.port).bigEndian
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
    var limit = timeval(tv_sec: 4, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      unsafe setsockopt(
        descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  deinit { close(descriptor) }

  /// Sends bytes; false where the other side takes no more.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      #if canImport(Glibc)
        let flags = Int32(MSG_NOSIGNAL)
      #else
        let flags: Int32 = 0
      #endif
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Self.sendBytes(descriptor, $0[sent...], flags)
      }
      guard count > 0 else { return false }
      sent += count
    }
    return true
  }

  private static func sendBytes(
    _ descriptor: Int32, _ bytes: Slice<UnsafeRawBufferPointer>, _ flags: Int32
  ) -> Int {
    let part = unsafe UnsafeRawBufferPointer(rebasing: bytes)
    #if canImport(Glibc)
      return unsafe Glibc.send(descriptor, part.baseAddress, part.count, flags)
    #else
      return unsafe Darwin.send(descriptor, part.baseAddress, part.count, flags)
    #endif
  }

  /// Says that nothing more comes, and goes on reading.
  func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Reads what is there next; nil where nothing comes within 4 s.
  func readSome() -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
    return count > 0 ? Array(buffer[..<count]) : nil
  }

  /// Reads until the other side closes; nil where it does not within 4 s.
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

  /// Reads what is there within a moment.
  func readSome() -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
    return Array(buffer[..<max(0, count)])
  }

  /// The frames in some bytes, as far as they are whole.
  static func frames(_ bytes: [UInt8]) -> [Frame] {
    var decoder = FrameDecoder(frameLimit: 8 << 20)
    var offset = 0
    var frames: [Frame] = []
    while let frame = try? unsafe decoder.next(bytes.span.bytes, from: &offset) {
      frames.append(frame)
    }
    return frames
  }
}
