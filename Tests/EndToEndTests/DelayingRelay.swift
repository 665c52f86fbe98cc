import Foundation
import TestSupport

#if canImport(Glibc)
  import Glibc
#endif

/// A way between two programs of this machine that takes its time: a relay of TCP connections
/// that hands on every piece of bytes a while after it came, in both directions.
///
/// It can lose pieces as TCP shows it, which brings them later and keeps all that follows waiting,
/// and can be cut: then nothing comes through, not even the end of a connection, until it is
/// mended.
///
// SAFETY: the listener is only closed by `deinit`; each connection's threads own its sockets.
final class DelayingRelay: @unchecked Sendable {
  let port: Int
  let way: RelayedWay
  private let listener: Int32

  struct Failure: Error {
    let call: String
  }

  /// - Parameters:
  ///   - port: where the other program listens.
  ///   - host: its numeric address.
  ///   - here: the numeric address to listen at.
  ///   - microseconds: how long a piece is under way, each way.
  init(
    to port: Int, of host: String = "127.0.0.1", at here: String = "127.0.0.1", microseconds: Int
  ) throws {
    let target = Self.address(host, port)
    way = RelayedWay(microseconds: microseconds)
    let listener = Self.makeSocket()
    self.listener = listener
    var address = Self.address(here, 0)
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
    let way = way
    Thread.detachNewThread {
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        way.noteConnection()
        Thread.detachNewThread { Self.carry(client, to: target, by: way) }
      }
    }
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
    way.end()
  }

  private static func carry(_ client: Int32, to target: sockaddr_in, by way: RelayedWay) {
    way.waitUntilWhole()
    guard let server = connect(to: target) else {
      close(client)
      return
    }
    let pair = SocketPair(client, server)
    for (from, to, isForward) in [(client, server, true), (server, client, false)] {
      setNoDelay(from)
      Pump(from: from, to: to, pair: pair, way: way, isForward: isForward).start()
    }
  }

  private static func makeSocket() -> Int32 {
    #if canImport(Glibc)
      socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      socket(AF_INET, SOCK_STREAM, 0)
    #endif
  }

  private static func address(_ host: String, _ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = unsafe inet_addr(host)
    return address
  }

  private static func setNoDelay(_ socket: Int32) {
    var on: Int32 = 1
    unsafe setsockopt(
      socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  private static func connect(to target: sockaddr_in) -> Int32? {
    let socket = makeSocket()
    var address = target
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

/// What a relay does to what passes it, and what has passed.
///
// SAFETY: everything is read and written under the condition's lock.
final class RelayedWay: @unchecked Sendable {
  private let condition = NSCondition()
  private var nanoseconds: UInt64
  private var lossInThousand: UInt64 = 0
  private var random = SeededGenerator(seed: 1)
  private var isCut = false
  private var hasEnded = false
  private var passed = 0
  private var accepted = 0

  /// How much later a piece comes that TCP has to send again.
  private static let resending: UInt64 = 200_000_000

  init(microseconds: Int) { nanoseconds = UInt64(microseconds) * 1000 }

  /// Lets pieces take so long from now on, and so many in a thousand be lost at first.
  func set(microseconds: Int, lossInThousand: Int = 0) {
    condition.withLock {
      nanoseconds = UInt64(microseconds) * 1000
      self.lossInThousand = UInt64(lossInThousand)
    }
  }

  /// Lets nothing through from now on, or again all that has waited.
  func cut(_ isCut: Bool) {
    condition.withLock {
      self.isCut = isCut
      condition.broadcast()
    }
  }

  func end() {
    condition.withLock {
      hasEnded = true
      isCut = false
      condition.broadcast()
    }
  }

  func waitUntilWhole() {
    condition.withLock {
      while isCut, !hasEnded { condition.wait() }
    }
  }

  /// Bytes that came for the target so far.
  var forwarded: Int { condition.withLock { passed } }
  /// Connections so far.
  var connections: Int { condition.withLock { accepted } }

  fileprivate func noteConnection() { condition.withLock { accepted += 1 } }

  /// How long a piece is under way.
  fileprivate func delay(of count: Int, isForward: Bool) -> UInt64 {
    condition.withLock {
      if isForward { passed += max(0, count) }
      let isLost = lossInThousand > 0 && random.next() % 1000 < lossInThousand
      return nanoseconds + (isLost ? Self.resending : 0)
    }
  }
}

/// Both sockets of a connection, closed when nobody uses them any more.
private final class SocketPair: Sendable {
  private let sockets: [Int32]
  init(_ first: Int32, _ second: Int32) { sockets = [first, second] }
  deinit { for socket in sockets { close(socket) } }
}

/// One direction of a connection.
private final class Pump: @unchecked Sendable {
  private let from: Int32
  private let to: Int32
  private let pair: SocketPair
  private let way: RelayedWay
  private let isForward: Bool
  private let condition = NSCondition()
  private var pieces: [(due: UInt64, bytes: [UInt8])] = []
  private var hasEnded = false

  init(from: Int32, to: Int32, pair: SocketPair, way: RelayedWay, isForward: Bool) {
    (self.from, self.to, self.pair, self.way) = (from, to, pair, way)
    self.isForward = isForward
  }

  private static var now: UInt64 { DispatchTime.now().uptimeNanoseconds }

  func start() {
    Thread.detachNewThread { [self] in
      var buffer = [UInt8](repeating: 0, count: 256 << 10)
      var last: UInt64 = 0
      while true {
        let count = unsafe read(from, &buffer, buffer.count)
        last = max(last, Self.now + way.delay(of: count, isForward: isForward))
        condition.lock()
        if count > 0 { pieces.append((last, Array(buffer[..<count]))) } else { hasEnded = true }
        condition.signal()
        condition.unlock()
        if count <= 0 { return }
      }
    }
    Thread.detachNewThread { [self] in
      while let piece = next() {
        Self.wait(until: piece.due)
        way.waitUntilWhole()
        var rest = piece.bytes[...]
        while !rest.isEmpty {
          let count = unsafe rest.withUnsafeBytes {
            unsafe send(to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
          }
          guard count > 0 else {
            // Whoever sends hears that nobody reads.
            shutdown(from, Int32(SHUT_RD))
            return
          }
          rest = rest.dropFirst(count)
        }
      }
      way.waitUntilWhole()
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
