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

/// Measures the way to a `LinkProbeServer` or to a node that serves nobody.
public final class LinkProbe: Sendable {
  private struct State {
    var echoes: [[UInt8]] = []
    var isAccepted = false
    var closure: LinkClosure?
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
    try link.send(ControlMessage.probe.frame)
    let isAccepted = state.wait(until: Monotonic.now() + .seconds(3)) { state -> Bool? in
      state.isAccepted ? true : state.closure.map { _ in false }
    }
    guard isAccepted == true else { throw noAnswer(address) }
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
    guard ProbeFrame.number(counted) == count else { throw noAnswer(address) }
  }

  /// Sends a frame and waits for the next echo.
  private func exchange(
    _ frame: Frame, on link: Link, _ address: HostPort
  ) throws -> [UInt8] {
    try link.send(frame)
    let answer = state.wait(until: Monotonic.now() + .seconds(30)) { state -> [UInt8]?? in
      if !state.echoes.isEmpty { return .some(state.echoes.removeFirst()) }
      return state.closure == nil ? nil : .some(nil)
    }
    guard let payload = answer ?? nil else { throw noAnswer(address) }
    return payload
  }

  private func noAnswer(_ address: HostPort) -> RuntimeFault {
    if let fault = RuntimeFault(refusing: state.withLock({ $0.closure }), at: address) {
      return fault
    }
    return RuntimeFault(
      "noProbe",
      "\(address) does not answer as a probe; start `shardrun probe --listen` there, or a node",
      context: ["address": "\(address)"])
  }
}

extension LinkProbe: LinkHandler {
  public func link(_ link: Link, received frame: Frame) {
    if frame.kind == ProbeFrame.echo {
      state.update { $0.echoes.append(frame.payload) }
    } else if !frame.isData, (try? ControlMessage(frame)) == .probe {
      state.update { $0.isAccepted = true }
    }
    link.consume(frame)
  }

  public func link(_ link: Link, closed closure: LinkClosure) {
    state.update { $0.closure = closure }
  }
}
