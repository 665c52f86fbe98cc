import Logging
import ShardTransport

/// Serves one node's layers to coordinators, as many at once as it has sequences for.
///
/// Links are served on the transport's thread by `NodeMachine`; passes run on the stage's own
/// thread, which sleeps while there is nothing to compute.
public final class NodeServer: Sendable {
  private struct State {
    var machine: NodeMachine
    var links: [UInt64: Link] = [:]
    /// By number.
    var runs: [Int: RunLinks] = [:]
    var listener: (any Listener)?
    /// Made when someone wants to measure a link.
    var probes: LinkProbeAnswers?
    var hasStopped = false
    var isClosed = false
  }

  private let stage: Stage
  private let requestedAddress: HostPort
  private let transport: any Transport
  private let ownsTransport: Bool
  private let logger: Logger?
  private let state: Monitor<State>
  private let startedAt = Monotonic.now()
  /// Connects to the next node, which may take a moment.
  private let dialer = DedicatedThread()

  /// - Parameters:
  ///   - transport: stays the caller's; nil makes a TCP transport of the server's own.
  ///   - logger: hears of coordinators that come and go, and of refused connections.
  public init(
    stage: Stage, listen address: HostPort, transport: (any Transport)? = nil,
    logger: Logger? = nil
  ) {
    self.stage = stage
    requestedAddress = address
    ownsTransport = transport == nil
    self.transport = transport ?? TCPTransport()
    self.logger = logger
    state = Monitor(
      State(machine: NodeMachine(stage.description, sequences: stage.sequences)))
  }

  /// Begins to listen and returns the address with its actual port.
  ///
  /// Throws: `TransportFault` where the address cannot be had.
  public func start() throws -> HostPort {
    let listener = try transport.listen(at: requestedAddress) { [self] link in
      guard register(link) else { return nil }
      handle(.accepted(link.id))
      return self
    }
    state.withLock { $0.listener = listener }
    return listener.address
  }

  /// Returns after `shutdown`.
  public func waitUntilClosed() { _ = state.wait { $0.isClosed ? true : nil } }

  /// Finishes the pass at work, says goodbye to the coordinator and stops.
  public func shutdown() {
    let listener = state.withLock { state in
      defer { state.listener = nil }
      return state.listener
    }
    listener?.close()
    stage.thread.enqueue { [self] in
      handle(.stop)
      state.update { $0.hasStopped = true }
    }
    _ = state.wait { $0.hasStopped ? true : nil }
    dialer.finish()
    state.withLock { $0.probes }?.close()
    if ownsTransport { transport.shutdown() }
    state.update { $0.isClosed = true }
  }

  private func register(_ link: Link) -> Bool {
    state.withLock { state in
      state.links[link.id] = link
      return !state.isClosed
    }
  }

  // MARK: From events to actions

  private func handle(_ event: NodeMachine.Event) {
    // Actions run under the lock, so that they keep their order; none of them waits.
    state.withLock { state in
      for action in state.machine.handle(event) { perform(action, &state) }
    }
  }

  private func perform(_ action: NodeMachine.Action, _ state: inout State) {
    switch action {
    case .send(let message, let link):
      try? state.links[link]?.send(message.frame)
    case .establish(let link):
      state.links[link]?.establish(stage.description.linkLimits)
    case .close(let link, let farewell):
      state.links[link]?.close(farewell)
    case .dial(let peer, let run):
      dialer.enqueue { [self] in dial(peer, run: run) }
    case .begin(let run, let coordinator, let downstream, let sequences):
      guard let coordinator = state.links[coordinator] else { return }
      let links = RunLinks(
        run: run, coordinator: coordinator, downstream: downstream.flatMap { state.links[$0] },
        sequences: sequences, meter: stage.makeMeter())
      state.runs[run] = links
      stage.thread.enqueue { [stage] in stage.reset(sequences) }
    case .compute(let frame, let link, let run):
      guard let links = state.runs[run], let source = state.links[link] else { return }
      stage.thread.enqueue { [self] in compute(frame, from: source, links) }
    case .sendStatistics(let link, let run, let restart):
      // Before it has begun there is nothing to count.
      let meter = state.runs[run]?.meter ?? stage.makeMeter()
      let statistics = meter.statistics(of: stage.description, restart: restart)
      try? state.links[link]?.send(ControlMessage.statistics(statistics).frame)
    case .answerProbes(let link):
      guard let link = state.links[link] else { return }
      let probes = state.probes ?? LinkProbeAnswers()
      state.probes = probes
      guard probes.isIdle else { return link.close(Farewell(anotherProbe)) }
      probes.take(link)
    case .end(let run):
      state.runs.removeValue(forKey: run)?.end()
    case .observe(let link):
      state.links[link]?.establish(.strangers)
    case .sendStatus(let link, let occupation):
      try? state.links[link]?.send(ControlMessage.status(status(occupation)).frame)
    case .log(let event):
      log(event, remote: event.link.flatMap { state.links[$0]?.remote })
    }
  }

  private func status(_ occupation: NodeMachine.Occupation) -> NodeStatus {
    NodeStatus(
      description: stage.description,
      statistics: stage.meter.statistics(of: stage.description, restart: false),
      activity: occupation.activity, coordinator: occupation.coordinator, runs: occupation.runs,
      sequences: occupation.sequences, sequencesInUse: occupation.sequencesInUse,
      uptimeSeconds: (Monotonic.now() - startedAt).inSeconds,
      residentBytes: ProcessMemory.residentBytes)
  }

  private func log(_ event: NodeEvent, remote: String?) {
    var metadata: Logger.Metadata = [
      "event": "\(event.kind.rawValue)", "node": "\(stage.description.node)",
    ]
    metadata["remote"] = remote.map { "\($0)" }
    metadata["code"] = event.code.map { "\($0)" }
    logger?.log(
      level: event.kind == .refused ? .warning : .info, "\(event.text)", metadata: metadata)
  }

  private var anotherProbe: RuntimeFault {
    RuntimeFault(
      "busy", "\(stage.description.node) is busy with another probe; try again when it is done",
      exitStatus: .tryAgain, context: ["node": stage.description.node])
  }

  // MARK: Other threads

  /// Connects to the next node, again while it does not answer, for a moment.
  private func dial(_ peer: ControlMessage.Peer, run: Int) {
    let patience = Monotonic.now() + .seconds(1)
    // One that is over by then keeps no other waiting.
    while state.withLock({ $0.machine.has(run: run) }) {
      do throws(TransportFault) {
        let link = try transport.connect(to: peer.address, timeout: .seconds(1), handler: self)
        guard register(link) else { return link.close() }
        handle(.dialed(.success(link.id), run: run))
        // It may have ended before the machine knew it.
        if let closure = link.closure { self.link(link, closed: closure) }
        return
      } catch {
        guard Monotonic.now() < patience else {
          return handle(.dialed(.failure(error), run: run))
        }
        pause(.milliseconds(100))
      }
    }
  }

  private func compute(_ frame: Frame, from source: Link, _ links: RunLinks) {
    source.consume(frame)
    guard !links.hasEnded else { return }
    do {
      try links.process(frame, on: stage)
    } catch let fault as RuntimeFault {
      handle(.computeFailed(fault, run: links.run))
    } catch {
      // A link has ended; its closure is an event of its own.
    }
  }
}

extension NodeServer: LinkHandler {
  public func link(_ link: Link, received frame: Frame) {
    if frame.isData, let probes = state.withLock({ $0.probes }), probes.holds(link) {
      return probes.receive(frame, on: link)
    }
    guard !frame.isData else { return handle(.data(frame, from: link.id)) }
    do throws(RuntimeFault) {
      handle(.control(try ControlMessage(frame), from: link.id))
    } catch {
      handle(.unreadable(error, from: link.id))
    }
  }

  public func link(_ link: Link, closed closure: LinkClosure) {
    handle(.closed(link.id, closure))
    state.withLock {
      $0.links.removeValue(forKey: link.id)
      $0.probes?.forget(link)
    }
  }
}
