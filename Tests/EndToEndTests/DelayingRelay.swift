import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// A way between two programs of this machine that takes its time: a relay of TCP connections
/// that hands on every piece of bytes a fixed time after it came, in both directions.
///
// SAFETY: the listener is only closed by `deinit`; each connection's threads own its sockets.
final class DelayingRelay: @unchecked Sendable {
  let port: Int
  private let listener: Int32
  private let target: UInt16
  private let delay: UInt64

  struct Failure: Error {
    let call: String
  }

  /// - Parameters:
  ///   - port: where the other program listens on this machine.
  ///   - microseconds: how long a piece is under way, each way.
  init(to port: Int, microseconds: Int) throws {
    target = UInt16(port)
    delay = UInt64(microseconds) * 1000
    let listener = Self.makeSocket()
    self.listener = listener
    var address = Self.address(0)
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(listener, $0, size)
      }
    }
    guard isBound == 0, listen(listener, 16) == 0 else { throw Failure(call: "bind") }
    var actual = sockaddr_in()
    var length = size
    let hasName = unsafe withUnsafeMutablePointer(to: &actual) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe getsockname(listener, $0, &length)
      }
    }
    guard hasName == 0 else { throw Failure(call: "getsockname") }
    self.port = Int(UInt16(bigEndian: actual.sin_port))
    let (target, delay) = (target, delay)
    Thread.detachNewThread {
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        guard let server = Self.connect(to: target) else {
          close(client)
          continue
        }
        for (from, to) in [(client, server), (server, client)] {
          Self.setNoDelay(from)
          Pump(from: from, to: to, delay: delay).start()
        }
      }
    }
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  private static func makeSocket() -> Int32 {
    #if canImport(Glibc)
      socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      socket(AF_INET, SOCK_STREAM, 0)
    #endif
  }

  private static func address(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }

  private static func setNoDelay(_ socket: Int32) {
    var on: Int32 = 1
    unsafe setsockopt(
      socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  private static func connect(to port: UInt16) -> Int32? {
    let socket = makeSocket()
    var address = address(port)
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        #if canImport(Glibc)
          unsafe Glibc.connect(socket, $0, size)
        #else
          unsafe Darwin.connect(socket, $0, size)
        #endif
      }
    }
    guard result == 0 else {
      close(socket)
      return nil
    }
    return socket
  }
}

/// One direction of a connection.
private final class Pump: @unchecked Sendable {
  private let from: Int32
  private let to: Int32
  private let delay: UInt64
  private let condition = NSCondition()
  private var pieces: [(due: UInt64, bytes: [UInt8])] = []
  private var hasEnded = false

  init(from: Int32, to: Int32, delay: UInt64) {
    (self.from, self.to, self.delay) = (from, to, delay)
  }

  private static var now: UInt64 { DispatchTime.now().uptimeNanoseconds }

  func start() {
    Thread.detachNewThread { [self] in
      var buffer = [UInt8](repeating: 0, count: 256 << 10)
      while true {
        let count = unsafe read(from, &buffer, buffer.count)
        let due = Self.now + delay
        condition.lock()
        if count > 0 { pieces.append((due, Array(buffer[..<count]))) } else { hasEnded = true }
        condition.signal()
        condition.unlock()
        if count <= 0 { return }
      }
    }
    Thread.detachNewThread { [self] in
      while let piece = next() {
        Self.wait(until: piece.due)
        var rest = piece.bytes[...]
        while !rest.isEmpty {
          let count = unsafe rest.withUnsafeBytes {
            unsafe send(to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
          }
          guard count > 0 else { return }
          rest = rest.dropFirst(count)
        }
      }
      shutdown(to, Int32(SHUT_WR))
    }
  }

  private func next() -> (due: UInt64, bytes: [UInt8])? {
    condition.lock()
    defer { condition.unlock() }
    while pieces.isEmpty, !hasEnded { condition.wait() }
    return pieces.isEmpty ? nil : pieces.removeFirst()
  }

  /// Sleeps, and spins at the end: the system wakes sleepers late.
  private static func wait(until due: UInt64) {
    while true {
      let now = Self.now
      guard now < due else { return }
      if due - now > 120_000 { usleep(UInt32((due - now - 100_000) / 1000)) }
    }
  }
}
