import ShardTransport

/// The coordinator's links to the other nodes of a ring.
final class RingClient: Sendable {
  let peers: [(name: String, address: HostPort)]
  private let own: StageDescription
  private let state: Monitor<RingState>
  private let links: [Link]
  private let transport: any Transport
  private let ownsTransport: Bool

  /// Connects to all peers, checks what they hold and joins them to a ring.
  ///
  /// Peers that refuse the connection or are busy are asked again until the patience is over.
  init(
    _ own: StageDescription, sequences: Int, peers: [(name: String, address: HostPort)],
    transport given: (any Transport)?, options: InferencePipeline.Options
  ) throws {
    self.own = own
    self.peers = try RingCoverage.order(peers, for: own)
    transport = given ?? TCPTransport()
    ownsTransport = given == nil
    state = Monitor(RingState(peers: self.peers))
    var links: [Link] = []
    do {
      let run = String(UInt64.random(in: .min ... .max), radix: 16)
      let deadline = Monotonic.now() + options.connectPatience
      for (index, peer) in self.peers.enumerated() {
        let greeter = Greeter(
          own: own, run: run, sequences: sequences, state: state, transport: transport,
          index: index,
          addresses: [peer.address] + (options.spares[peer.name] ?? []))
        links.append(try greeter.connect(until: deadline))
      }
      self.links = links
      try join()
    } catch {
      for link in links { link.close(NodeMachine.runEnded) }
      if ownsTransport { transport.shutdown() }
      throw error
    }
  }

  private func join() throws {
    let welcomes = state.withLock { $0.peers.compactMap(\.welcome) }
    try RingCoverage.check([own] + welcomes)
    state.update { $0.begin(at: Monotonic.now()) }
    let places = state.withLock { $0.peers.map { (name: $0.name, address: $0.address) } }
    for (index, link) in links.enumerated() {
      let previous = index == 0 ? own.node : peers[index - 1].name
      let next = index + 1 < places.count ? places[index + 1] : nil
      let join = ControlMessage.Join(
        previous: previous,
        next: next.map { ControlMessage.Peer(name: $0.name, address: $0.address) })
      try? link.send(ControlMessage.join(join).frame)
    }
    try wait(.joining, atMost: .seconds(3)) { state in
      state.peers.allSatisfy(\.hasJoined) ? true : nil
    }
  }

  // MARK: Requests

  /// Announces steps before they are sent; results may come at any time after.
  func request(_ steps: [(output: StepOutput, rows: Int)]) -> [UInt32] {
    state.withLock { state in
      steps.map {
        state.request($0.output, rows: $0.rows, vocabularySize: own.vocabularySize)
      }
    }
  }

  /// Sends a frame into the ring, waiting while the first node is not ready for it.
  ///
  /// Throws: why the ring has ended, if it has.
  func send(_ frame: Frame) throws {
    do {
      try links.first?.send(frame)
    } catch {
      // The reason comes as an event of its own.
      try wait(.reason, atMost: .seconds(1)) { _ -> Bool? in nil }
    }
  }

  /// Waits for results, as long as all nodes live.
  func results(of requests: [UInt32]) throws -> [StepResult] {
    try wait(.results) { $0.takeResults(of: requests) }
  }

  /// Waits for the first of several calls whose results are complete.
  ///
  /// - Parameter calls: the requests of each.
  func firstResults(of calls: [[UInt32]]) throws -> (call: Int, results: [StepResult]) {
    try wait(.results) { state in
      for (index, requests) in calls.enumerated() {
        if let results = state.takeResults(of: requests) { return (index, results) }
      }
      return nil
    }
  }

  /// Ends the ring for a reason of this side.
  func fail(_ fault: RuntimeFault) { state.update { $0.fail(fault) } }

  /// Whether the ring has ended.
  var hasFailed: Bool { state.withLock { $0.failure(at: Monotonic.now()) != nil } }

  func statistics(restart: Bool) throws -> [NodeStatistics] {
    state.withLock { state in
      for index in state.peers.indices { state.peers[index].statistics = nil }
    }
    for link in links {
      try? link.send(ControlMessage.statisticsRequest(restart: restart).frame)
    }
    return try wait(.statistics, atMost: .seconds(3)) { state in
      let all = state.peers.compactMap(\.statistics)
      return all.count == state.peers.count ? all : nil
    }
  }

  /// Says goodbye to all peers.
  func shutdown() {
    for link in links { link.close(NodeMachine.runEnded) }
    if ownsTransport { transport.shutdown() }
  }

  // MARK: Waiting

  private enum Awaited {
    case joining, results, statistics, reason

    func isLate(_ peer: RingState.Peer) -> Bool {
      switch self {
      case .joining: !peer.hasJoined
      case .statistics: peer.statistics == nil
      case .results, .reason: true
      }
    }
  }

  private enum Outcome<Value> {
    case value(Value)
    case fault(RuntimeFault)
    /// A suspicion turns into a fault at this time, unless a better one comes.
    case settling(Duration)
  }

  /// Waits for something of the state, or throws why the ring has ended.
  @discardableResult
  private func wait<Value>(
    _ awaited: Awaited, atMost time: Duration? = nil, _ body: (inout RingState) -> Value?
  ) throws -> Value {
    let deadline = time.map { Monotonic.now() + $0 }
    var settlesAt: Duration?
    while true {
      let until = [deadline, settlesAt].compactMap { $0 }.min()
      let outcome = state.wait(until: until) { state -> Outcome<Value>? in
        if let value = body(&state) { return .value(value) }
        if let fault = state.failure(at: Monotonic.now()) { return .fault(fault) }
        if settlesAt == nil, let time = state.settlesAt { return .settling(time) }
        return nil
      }
      switch outcome {
      case .value(let value): return value
      case .fault(let fault): throw fault
      case .settling(let time): settlesAt = time
      case nil:
        if let deadline, Monotonic.now() >= deadline { throw late(awaited) }
      }
    }
  }

  private func late(_ awaited: Awaited) -> RuntimeFault {
    let names = state.withLock { $0.peers.filter(awaited.isLate).map(\.name) }
    return RuntimeFault(
      "tooLate", "\(names.joined(separator: ", ")) did not answer in time; try again",
      context: ["node": names.first ?? ""])
  }
}

/// Connects to one peer and exchanges hello and welcome.
private struct Greeter {
  let own: StageDescription
  let run: String
  /// How many the ring is to have.
  let sequences: Int
  let state: Monitor<RingState>
  let transport: any Transport
  let index: Int
  /// Where the node may be: its own address, then those of its spares.
  let addresses: [HostPort]

  /// A node notices the loss of a coordinator as late as anyone, and is busy until then.
  private static let busyTime = Duration.seconds(1)

  func connect(until deadline: Duration) throws -> Link {
    var attempts = 0
    while true {
      let address = addresses[attempts % addresses.count]
      do {
        return try attempt(at: address, until: deadline)
      } catch let fault as RuntimeFault {
        attempts += 1
        // Each address has its turn, whatever is wrong with the one before.
        if attempts < addresses.count, fault.isPassing { continue }
        let last = fault.code == "runtime.busy" ? deadline + Self.busyTime : deadline
        let isWorthWaiting = ["runtime.busy", "runtime.unreachable"].contains(fault.code)
        guard isWorthWaiting, Monotonic.now() + .milliseconds(100) < last else { throw fault }
        pause(.milliseconds(100))
      }
    }
  }

  private func attempt(at address: HostPort, until deadline: Duration) throws -> Link {
    state.update { $0.peers[index].address = address }
    let peer = state.withLock { $0.peers[index] }
    let link: Link
    do {
      // Whoever comes late in the ring has time for a slow link too; where there are spares, one
      // that does not answer leaves time for the next.
      let left = max(deadline - Monotonic.now(), .seconds(1))
      link = try transport.connect(
        to: address, timeout: addresses.count > 1 ? min(left, .seconds(1)) : left,
        handler: PeerHandler(state, own.linkLimits, index: index))
    } catch {
      if error.exitStatus == .notTrusted {
        throw RingState.distrusted(peer, "\(peer.name): \(error.message)")
      }
      throw RuntimeFault(
        "unreachable",
        "\(peer.name) does not answer: \(error.message); start it there with shardrun node",
        context: ["node": peer.name, "address": "\(address)"])
    }
    state.update { state in
      state.peers[index].link = link.id
      state.peers[index].closure = link.closure
    }
    let hello = ControlMessage.Hello(
      role: .coordinator, run: run, sequences: sequences, bundleID: own.bundleID, from: own.node,
      to: peer.name)
    try? link.send(ControlMessage.hello(hello).frame)
    let answer = state.wait { state -> Result<StageDescription, RuntimeFault>? in
      if let welcome = state.peers[index].welcome { return .success(welcome) }
      let peer = state.peers[index]
      if let closure = peer.closure { return .failure(RingState.lost(peer, closure)) }
      return state.failure(at: Monotonic.now()).map { .failure($0) }
    }
    do {
      _ = try answer?.get()
    } catch {
      link.close()
      throw error
    }
    return link
  }
}

/// Brings what one peer says into the state.
private final class PeerHandler: LinkHandler {
  private let state: Monitor<RingState>
  private let limits: LinkLimits
  private let index: Int

  init(_ state: Monitor<RingState>, _ limits: LinkLimits, index: Int) {
    self.state = state
    self.limits = limits
    self.index = index
  }

  func link(_ link: Link, received frame: Frame) {
    do throws(RuntimeFault) {
      guard frame.kind == ResultMessage.kind else {
        let message = try ControlMessage(frame)
        if case .welcome = message { link.establish(limits) }
        return state.update { $0.receive(message, from: link.id, peer: index) }
      }
      // Results are awaited, so that their memory is already accounted for.
      link.consume(frame)
      let message = try ResultMessage(frame)
      state.update { $0.receive(message, from: link.id, peer: index) }
    } catch {
      state.update { $0.fail(error) }
    }
  }

  func link(_ link: Link, closed closure: LinkClosure) {
    state.update { $0.closed(closure, of: link.id, peer: index, at: Monotonic.now()) }
  }
}
