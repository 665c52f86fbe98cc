import ShardTransport

/// Asks a node for its status, and how long a question takes to come back.
public final class StatusQuery: Sendable {
  public struct Answer: Sendable, Equatable {
    public var status: NodeStatus
    /// Median of a few small messages there and back.
    public var roundTrip: Duration
  }

  private struct State {
    var statuses: [NodeStatus] = []
    var echoes = 0
    var closure: LinkClosure?
  }

  private let transport: any Transport
  private let state = Monitor(State())
  private static let rounds = 15

  /// - Parameter transport: stays the caller's.
  public init(transport: any Transport) { self.transport = transport }

  /// Asks once; a query is made for each node.
  ///
  /// Throws: `TransportFault` or `RuntimeFault` where no node answers there in time.
  public func ask(
    _ address: HostPort, within time: Duration = .seconds(3)
  ) throws -> Answer {
    let deadline = Monotonic.now() + time
    let link = try transport.connect(to: address, timeout: time, handler: self)
    defer { link.close() }
    try? link.send(ControlMessage.statusRequest(isEcho: false).frame)
    let status = state.wait(until: deadline) { state -> NodeStatus?? in
      if let status = state.statuses.first { return .some(status) }
      return state.closure == nil ? nil : .some(nil)
    }
    guard let status = status ?? nil else { throw noAnswer(address) }
    link.establish(.strangers)
    var times: [Duration] = []
    for round in 1...Self.rounds {
      let start = Monotonic.now()
      try? link.send(ControlMessage.statusRequest(isEcho: true).frame)
      let came = state.wait(until: deadline) { state -> Bool? in
        state.echoes >= round ? true : state.closure.map { _ in false }
      }
      guard came == true else { throw noAnswer(address) }
      times.append(Monotonic.now() - start)
    }
    times.sort()
    return Answer(status: status, roundTrip: times[times.count / 2])
  }

  private func noAnswer(_ address: HostPort) -> RuntimeFault {
    RuntimeFault(refusing: state.withLock { $0.closure }, at: address)
      ?? RuntimeFault(
        "noStatus", "\(address) does not answer as a node; start shardrun node there",
        context: ["address": "\(address)"])
  }
}

extension StatusQuery: LinkHandler {
  public func link(_ link: Link, received frame: Frame) {
    link.consume(frame)
    switch try? ControlMessage(frame) {
    case .status(let status): state.update { $0.statuses.append(status) }
    case .statusRequest(isEcho: true): state.update { $0.echoes += 1 }
    default: link.close()
    }
  }

  public func link(_ link: Link, closed closure: LinkClosure) {
    state.update { $0.closure = closure }
  }
}

extension RuntimeFault {
  /// What the other side gave as its reason, or who it is not; nil where it gave none.
  init?(refusing closure: LinkClosure?, at address: HostPort) {
    let context = ["address": "\(address)"]
    switch closure {
    // A node that is busy says so.
    case .farewell(let farewell)? where farewell.code.hasPrefix("runtime."):
      self.init(
        String(farewell.code.dropFirst("runtime.".count)), farewell.message,
        exitStatus: farewell.exitStatus, context: context)
    case .violated(_, let message)? where closure?.isDistrust == true:
      self.init(
        "notTrusted", "\(address): \(message)", exitStatus: .notTrusted, context: context)
    default: return nil
    }
  }
}
