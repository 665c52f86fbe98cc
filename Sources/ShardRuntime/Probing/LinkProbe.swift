import ShardPlanning
import ShardTransport
import StrictJSON
import TensorCore

/// What was measured of a way to another machine.
public struct LinkMeasurement: Sendable, Equatable {
  public var roundTripMedian: Duration
  public var roundTripP95: Duration
  /// Bytes per second to the other machine.
  public var rateThere: Double
  /// Bytes per second from it.
  public var rateBack: Double

  /// The link in the planner's terms: the slower of the two directions counts.
  public var profile: LinkProfile {
    let rates = NodeProfile.rateRange
    let rate = Int(min(rateThere, rateBack))
    return LinkProfile(
      roundTripNanoseconds: Int(roundTripMedian.inSeconds * 1e9),
      bytesPerSecond: min(max(rate, rates.lowerBound), rates.upperBound))
  }
}

/// Frames between two probes; `docs/protocol.md` describes them.
private enum ProbeFrame {
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

/// Answers the probes of other machines.
public final class LinkProbeServer: Sendable {
  private let transport: any Transport
  private let thread = DedicatedThread()
  private let counts = Monitor<[UInt64: Int]>([:])

  public init(transport: any Transport = TCPTransport()) { self.transport = transport }

  /// Begins to listen and returns the address with its actual port.
  public func start(at address: HostPort) throws -> HostPort {
    try transport.listen(at: address) { [self] link in
      link.establish(ProbeFrame.limits)
      return self
    }.address
  }

  public func shutdown() {
    thread.finish()
    transport.shutdown()
  }

  private func answer(_ frame: Frame, on link: Link) {
    defer { link.consume(frame) }
    switch frame.kind {
    case ProbeFrame.echo: try? link.send(frame)
    case ProbeFrame.bulk:
      counts.withLock { $0[link.id, default: 0] += frame.payload.count }
    case ProbeFrame.request where frame.payload.isEmpty:
      let count = counts.withLock { $0.updateValue(0, forKey: link.id) ?? 0 }
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

extension LinkProbeServer: LinkHandler {
  // As in a node, the answer comes from the thread that computes.
  public func link(_ link: Link, received frame: Frame) {
    thread.enqueue { [self] in answer(frame, on: link) }
  }

  public func link(_ link: Link, closed closure: LinkClosure) {
    counts.withLock { _ = $0.removeValue(forKey: link.id) }
  }
}

/// Measures the way to a `LinkProbeServer`.
public final class LinkProbe: Sendable {
  private struct State {
    var echoes: [[UInt8]] = []
    var isClosed = false
  }

  private let transport: any Transport
  private let state = Monitor(State())

  public init(transport: any Transport = TCPTransport()) { self.transport = transport }

  /// - Parameters:
  ///   - rounds: small messages whose round trips are measured.
  ///   - patience: how long each direction's rate is measured, about.
  /// Throws: `TransportFault` or `RuntimeFault` where the other side does not answer.
  public func measure(
    _ address: HostPort, rounds: Int = 200, patience: Duration = .milliseconds(700)
  ) throws -> LinkMeasurement {
    let link = try transport.connect(to: address, timeout: .seconds(3), handler: self)
    defer {
      link.close()
      transport.shutdown()
    }
    link.establish(ProbeFrame.limits)
    var times: [Duration] = []
    let ping = Frame(kind: ProbeFrame.echo, payload: [UInt8](repeating: 1, count: 64))
    for round in 0..<(rounds + 10) {
      let start = Monotonic.now()
      _ = try exchange(ping, on: link, address)
      // The first ones warm caches up.
      if round >= 10 { times.append(Monotonic.now() - start) }
    }
    times.sort()
    let trip = times[times.count / 2]
    return LinkMeasurement(
      roundTripMedian: trip, roundTripP95: times[times.count * 95 / 100],
      rateThere: try rate(patience, trip) { try send($0, on: link, address) },
      rateBack: try rate(patience, trip) { count in
        let request = Frame(kind: ProbeFrame.request, payload: ProbeFrame.number(count))
        _ = try exchange(request, on: link, address)
      })
  }

  /// Bytes per second of a transfer, from one that takes long enough.
  private func rate(
    _ patience: Duration, _ trip: Duration, _ transfer: (Int) throws -> Void
  ) rethrows -> Double {
    var count = 1 << 20
    while true {
      let start = Monotonic.now()
      try transfer(count)
      let time = Monotonic.now() - start
      if time >= patience / 2 || count >= ProbeFrame.mostBulk {
        return Double(count) / max(1e-9, (time - trip).inSeconds)
      }
      count *= 2
    }
  }

  private func send(_ count: Int, on link: Link, _ address: HostPort) throws {
    var left = count
    while left > 0 {
      let piece = min(left, ProbeFrame.payload.count)
      try link.send(Frame(kind: ProbeFrame.bulk, payload: Array(ProbeFrame.payload[..<piece])))
      left -= piece
    }
    let counted = try exchange(Frame(kind: ProbeFrame.request), on: link, address)
    guard ProbeFrame.number(counted) == count else { throw Self.noAnswer(address) }
  }

  /// Sends a frame and waits for the next echo.
  private func exchange(
    _ frame: Frame, on link: Link, _ address: HostPort
  ) throws -> [UInt8] {
    try link.send(frame)
    let answer = state.wait(until: Monotonic.now() + .seconds(30)) { state -> [UInt8]?? in
      if !state.echoes.isEmpty { return .some(state.echoes.removeFirst()) }
      return state.isClosed ? .some(nil) : nil
    }
    guard let payload = answer ?? nil else { throw Self.noAnswer(address) }
    return payload
  }

  private static func noAnswer(_ address: HostPort) -> RuntimeFault {
    RuntimeFault(
      "noProbe",
      "\(address) does not answer as a probe; start `shardrun probe --listen` there",
      context: ["address": "\(address)"])
  }
}

extension LinkProbe: LinkHandler {
  public func link(_ link: Link, received frame: Frame) {
    if frame.kind == ProbeFrame.echo { state.update { $0.echoes.append(frame.payload) } }
    link.consume(frame)
  }

  public func link(_ link: Link, closed closure: LinkClosure) {
    state.update { $0.isClosed = true }
  }
}
