import Foundation
import ShardPackaging
import TensorCore
import TestSupport
import Testing

/// The other side of a shipment, which writes the bytes of docs/shipping.md by hand: what it says
/// need not be right.
final class ShipPeer {
  private let socket: Int32

  static let greeting = Array("shardship/1\n".utf8)

  /// A peer, and the descriptor of the side that is tested.
  static func pair() throws -> (peer: ShipPeer, other: Int32) {
    var ends: [Int32] = [0, 0]
    #if canImport(Glibc)
      let kind = Int32(SOCK_STREAM.rawValue)
    #else
      let kind = SOCK_STREAM
    #endif
    try #require(unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0)
    return (ShipPeer(ends[0]), ends[1])
  }

  private init(_ socket: Int32) {
    self.socket = socket
    signal(SIGPIPE, SIG_IGN)
  }

  deinit { close(socket) }

  func hangUp() { shutdown(socket, Int32(SHUT_RDWR)) }

  /// Writes as long as somebody reads.
  func send(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe write(socket, $0.baseAddress, $0.count) }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }

  func send(frame kind: UInt8, _ payload: [UInt8]) {
    send([kind] + Self.number(payload.count, 4) + payload)
  }

  func sendFile(_ name: String, _ bytes: [UInt8]) {
    send(frame: 1, [UInt8(name.utf8.count)] + Array(name.utf8) + bytes)
  }

  func sendChunk(_ blob: Int, _ chunk: Int, _ bytes: [UInt8]) {
    send(frame: 3, Self.number(blob, 4) + Self.number(chunk, 4) + bytes)
  }

  static func number(_ value: Int, _ byteCount: Int) -> [UInt8] {
    (0..<byteCount).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  /// That many bytes; fewer at the end.
  func read(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      var piece = [UInt8](repeating: 0, count: count - bytes.count)
      let got = unsafe Foundation.read(socket, &piece, piece.count)
      guard got > 0 else { break }
      bytes += piece.prefix(got)
    }
    return bytes
  }

  /// The next frame; nil at the end.
  func readFrame() -> (kind: UInt8, payload: [UInt8])? {
    let header = read(5)
    guard header.count == 5 else { return nil }
    let count = header.dropFirst().reversed().reduce(0) { $0 << 8 | Int($1) }
    return (header[0], read(count))
  }

  /// The code and sentence of a receiver that has given up.
  func readFailure() -> (code: String, message: String, status: Int)? {
    while let frame = readFrame() {
      guard frame.kind == 70, frame.payload.count > 2 else { continue }
      let codeEnd = 2 + Int(frame.payload[1])
      return (
        String(decoding: frame.payload[2..<codeEnd], as: UTF8.self),
        String(decoding: frame.payload[codeEnd...], as: UTF8.self), Int(frame.payload[0])
      )
    }
    return nil
  }
}

/// Runs one side in a thread of its own.
///
// SAFETY: the semaphore orders the write before the read.
final class Beside<Value: Sendable>: @unchecked Sendable {
  private let done = DispatchSemaphore(value: 0)
  private var result: Result<Value, any Error>?

  init(_ body: @escaping @Sendable () throws -> Value) {
    Thread.detachNewThread { [self] in
      result = Result { try body() }
      done.signal()
    }
  }

  /// What came of it; fails where it takes longer than half a minute.
  func get() throws -> Value {
    guard done.wait(timeout: .now() + 30) == .success, let result else {
      throw Hanging()
    }
    return try result.get()
  }

  struct Hanging: Error {}
}
