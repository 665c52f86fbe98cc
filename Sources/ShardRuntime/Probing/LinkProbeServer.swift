import ShardTransport
import TensorCore

/// Frames between two probes; `docs/protocol.md` describes them.
enum ProbeFrame {
  /// Comes back as it is.
  static let echo: UInt8 = 96
  /// Bytes to be counted and forgotten.
  static let bulk: UInt8 = 97
  /// Asks for an echo with the count of bulk bytes so far (payload empty), or for so many bytes
  /// of bulk (8 bytes, little-endian) and the echo after them.
  static let request: UInt8 = 98

  static let limits = LinkLimits(frame: 256 << 10)
  static let payload = [UInt8](repeating: 0x5A, count: 256 << 10)
  /// Most bytes that a probe sends because another asks.
  static let mostBulk = 1 << 30

  static func number(_ value: Int) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  static func number(_ payload: [UInt8]) -> Int? {
    guard payload.count == 8, payload[7] == 0 else { return nil }
    return payload.enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
  }
}

/// Answers the probes of links that asked for it, on a thread of its own.
final class LinkProbeAnswers: Sendable {
  // In a node too the answer comes from another thread than the one that reads the link.
  private let thread = DedicatedThread()
  /// Bytes of bulk so far, by link.
  private let counts = Monitor<[UInt64: Int]>([:])

  /// Whether no link is being measured.
  var isIdle: Bool { counts.withLock { $0.isEmpty } }

  /// Takes a link that said `probe`: lets data flow and says so.
  func take(_ link: Link) {
    counts.withLock { $0[link.id] = 0 }
    link.establish(ProbeFrame.limits)
    try? link.send(ControlMessage.probe.frame)
  }

  /// Whether a link was taken and has not ended.
  func holds(_ link: Link) -> Bool { counts.withLock { $0[link.id] != nil } }

  func receive(_ frame: Frame, on link: Link) {
    thread.enqueue { [self] in answer(frame, on: link) }
  }

  func forget(_ link: Link) { counts.withLock { _ = $0.removeValue(forKey: link.id) } }

  /// Takes nothing more; call it when the links are closed or about to be.
  func close() { thread.close() }

  private func answer(_ frame: Frame, on link: Link) {
    defer { link.consume(frame) }
    switch frame.kind {
    case ProbeFrame.echo: try? link.send(frame)
    case ProbeFrame.bulk: counts.withLock { $0[link.id]? += frame.payload.count }
    case ProbeFrame.request where frame.payload.isEmpty:
      let count = counts.withLock { counts in
        defer { if counts[link.id] != nil { counts[link.id] = 0 } }
        return counts[link.id] ?? 0
      }
      try? link.send(Frame(kind: ProbeFrame.echo, payload: ProbeFrame.number(count)))
    case ProbeFrame.request:
      guard let wanted = ProbeFrame.number(frame.payload), wanted <= ProbeFrame.mostBulk else {
        return link.close()
      }
      var left = wanted
      while left > 0, link.closure == nil {
        let piece = min(left, ProbeFrame.payload.count)
        try? link.send(Frame(kind: ProbeFrame.bulk, payload: Array(ProbeFrame.payload[..<piece])))
        left -= piece
      }
      try? link.send(Frame(kind: ProbeFrame.echo, payload: ProbeFrame.number(wanted)))
    default: link.close()
    }
  }
}

/// Answers the probes of other machines, and does nothing else.
public final class LinkProbeServer: Sendable {
  private let transport: any Transport
  private let answers = LinkProbeAnswers()

  public init(transport: any Transport = TCPTransport()) { self.transport = transport }

  /// Begins to listen and returns the address with its actual port.
  public func start(at address: HostPort) throws -> HostPort {
    try transport.listen(at: address) { [self] _ in self }.address
  }

  public func shutdown() {
    answers.close()
    transport.shutdown()
  }
}

extension LinkProbeServer: LinkHandler {
  public func link(_ link: Link, received frame: Frame) {
    if answers.holds(link) {
      answers.receive(frame, on: link)
    } else if (try? ControlMessage(frame)) == .probe {
      answers.take(link)
    } else {
      let fault = RuntimeFault("onlyProbes", "only links are measured here, with probe --peer")
      link.close(Farewell(fault))
    }
  }

  public func link(_ link: Link, closed closure: LinkClosure) { answers.forget(link) }
}
