import ShardTransport

/// The rules by which a node serves one coordinator after another, without sockets or threads.
///
/// A run begins with a coordinator's hello and ends with the loss of any of its links; then the
/// node is free for the next one.
struct NodeMachine {
  typealias LinkID = UInt64

  enum Event {
    case accepted(LinkID)
    case control(ControlMessage, from: LinkID)
    case data(Frame, from: LinkID)
    /// A message came that cannot be read.
    case unreadable(RuntimeFault, from: LinkID)
    case dialed(Result<LinkID, TransportFault>, run: Int)
    case closed(LinkID, LinkClosure)
    /// A pass was refused.
    case computeFailed(RuntimeFault, run: Int)
    case stop
  }

  enum Action: Equatable {
    case send(ControlMessage, to: LinkID)
    case establish(LinkID)
    case close(LinkID, Farewell)
    /// Connect to the next node and report `dialed`.
    case dial(ControlMessage.Peer, run: Int)
    /// Forget all sequences and compute for these links from now on.
    case begin(run: Int, coordinator: LinkID, downstream: LinkID?)
    case compute(Frame, from: LinkID, run: Int)
    case sendStatistics(to: LinkID, restart: Bool)
    /// Let the link be measured, where no other one is.
    case answerProbes(on: LinkID)
    /// Let the link stay, to ask.
    case observe(LinkID)
    case sendStatus(to: LinkID, Occupation)
    /// Drop what is still to be computed.
    case end(run: Int)
    case log(NodeEvent)
  }

  private struct Run {
    let number: Int
    let id: String
    let coordinator: LinkID
    let coordinatorName: String
    var join: ControlMessage.Join?
    var upstream: (link: LinkID, name: String)?
    var downstream: LinkID?
    var isDownstreamReady = false
    var hasBegun = false

    /// The link that hidden states come on.
    var input: LinkID? {
      join?.previous == coordinatorName ? coordinator : upstream?.link
    }
  }

  /// Links that may be open without a hello.
  static let mostStrangers = 32
  /// Links that may ask for the status.
  static let mostObservers = 8

  let description: StageDescription
  private var run: Run?
  private var runCount = 0
  private var strangers: Set<LinkID> = []
  private var observers: Set<LinkID> = []
  private var isStopping = false

  init(_ description: StageDescription) { self.description = description }

  mutating func handle(_ event: Event) -> [Action] {
    switch event {
    case .accepted(let link):
      guard !isStopping else { return [.close(link, Farewell(stopping))] }
      guard strangers.count < Self.mostStrangers else {
        return [.close(link, Farewell(busy(with: "\(strangers.count) unfinished handshakes")))]
      }
      strangers.insert(link)
      return []
    case .control(let message, let link): return receive(message, from: link)
    case .data(let frame, let link):
      guard let run, run.hasBegun, link == run.input else {
        return refuse(link, unexpected("data outside of a run"))
      }
      return [.compute(frame, from: link, run: run.number)]
    case .unreadable(let fault, let link): return refuse(link, fault)
    case .dialed(let result, let number): return dialed(result, run: number)
    case .closed(let link, let closure): return closed(link, closure)
    case .computeFailed(let fault, let number):
      guard let run, run.number == number else { return [] }
      return end(telling: Farewell(fault), because: fault.message)
    case .stop: return stop()
    }
  }

  // MARK: Handshake

  private mutating func receive(_ message: ControlMessage, from link: LinkID) -> [Action] {
    switch message {
    case .hello(let hello): return greet(hello, link)
    case .join(let join) where link == run?.coordinator: return take(join, link)
    case .welcome(let next) where link == run?.downstream: return welcomed(by: next, link)
    case .statisticsRequest(let restart) where link == run?.coordinator:
      return [.sendStatistics(to: link, restart: restart)]
    case .probe where strangers.contains(link):
      guard run == nil else { return refuse(link, busy(with: "a run")) }
      strangers.remove(link)
      return [.answerProbes(on: link), .log(.measured(on: link))]
    case .statusRequest(let isEcho)
    where strangers.contains(link) || observers.contains(link):
      return answer(link, isEcho: isEcho)
    case .probe, .welcome, .join, .joined, .statisticsRequest, .statistics, .statusRequest,
      .status:
      return refuse(link, unexpected("a message out of turn"))
    }
  }

  private mutating func answer(_ link: LinkID, isEcho: Bool) -> [Action] {
    var actions: [Action] = []
    if !observers.contains(link) {
      guard observers.count < Self.mostObservers else {
        return refuse(link, busy(with: "\(observers.count) who ask for its status"))
      }
      strangers.remove(link)
      observers.insert(link)
      actions.append(.observe(link))
    }
    guard !isEcho else { return actions + [.send(.statusRequest(isEcho: true), to: link)] }
    let activity: NodeStatus.Activity =
      run.map { $0.hasBegun ? .serving : .joining } ?? .idle
    return actions + [
      .sendStatus(
        to: link,
        Occupation(activity: activity, coordinator: run?.coordinatorName, runs: runCount))
    ]
  }

  private mutating func greet(_ hello: ControlMessage.Hello, _ link: LinkID) -> [Action] {
    guard strangers.remove(link) != nil else {
      return refuse(link, unexpected("a second hello"))
    }
    if let fault = misdirected(hello) { return refuse(link, fault) }
    switch hello.role {
    case .coordinator:
      guard run == nil else { return refuse(link, busy(with: "another coordinator")) }
      guard !isStopping else { return refuse(link, stopping) }
      runCount += 1
      run = Run(
        number: runCount, id: hello.run, coordinator: link, coordinatorName: hello.from)
      return [
        .send(.welcome(description), to: link), .establish(link),
        .log(.coordinatorConnected(hello.from, on: link)),
      ]
    case .upstream:
      guard let run, run.id == hello.run, run.upstream == nil,
        run.join == nil || run.join?.previous == hello.from
      else {
        return refuse(
          link,
          RuntimeFault("unknownRun", "\(description.node) takes no part in a run of \(hello.from)"))
      }
      self.run?.upstream = (link, hello.from)
      return [.send(.welcome(description), to: link), .establish(link)] + beginIfComplete()
    }
  }

  /// Why a hello is not for this node.
  private func misdirected(_ hello: ControlMessage.Hello) -> RuntimeFault? {
    let node = description.node
    guard hello.to == node else {
      return RuntimeFault(
        "wrongNode", "this address serves \(node), not \(hello.to); check --peers",
        exitStatus: .usage, context: ["node": hello.to])
    }
    guard hello.bundleID == description.bundleID else {
      return RuntimeFault(
        "wrongBundle",
        "\(node) holds bundle \(description.bundleID.prefix(12)), \(hello.from) holds "
          + "\(hello.bundleID.prefix(12)); give all nodes parts of the same bundle",
        exitStatus: .badData, context: ["node": node])
    }
    return nil
  }

  private mutating func take(_ join: ControlMessage.Join, _ link: LinkID) -> [Action] {
    guard let run, run.join == nil, (join.next == nil) == description.holdsHead,
      run.upstream == nil || run.upstream?.name == join.previous
    else { return refuse(link, unexpected("a place in the ring that this node cannot take")) }
    self.run?.join = join
    if let next = join.next { return [.dial(next, run: run.number)] }
    return beginIfComplete()
  }

  private mutating func dialed(
    _ result: Result<LinkID, TransportFault>, run number: Int
  ) -> [Action] {
    guard let run, run.number == number, let next = run.join?.next else {
      guard case .success(let link) = result else { return [] }
      return [.close(link, Self.runEnded)]
    }
    switch result {
    case .failure(let fault):
      var message = "\(description.node) cannot reach \(next.name): \(fault.message)"
      if fault.exitStatus != .notTrusted {
        message += "; give --peers addresses that are valid on all nodes"
      }
      return end(
        telling: Farewell(
          "runtime.cannotReach", message, exitStatus: fault.exitStatus,
          context: ["node": next.name]),
        because: message)
    case .success(let link):
      self.run?.downstream = link
      let hello = ControlMessage.Hello(
        role: .upstream, run: run.id, bundleID: description.bundleID, from: description.node,
        to: next.name)
      return [.send(.hello(hello), to: link)]
    }
  }

  private mutating func welcomed(by next: StageDescription, _ link: LinkID) -> [Action] {
    guard let run, !run.isDownstreamReady, next.node == run.join?.next?.name,
      next.bundleID == description.bundleID,
      next.layers.lowerBound == description.layers.upperBound
    else { return refuse(link, unexpected("a welcome of another node")) }
    self.run?.isDownstreamReady = true
    return [.establish(link)] + beginIfComplete()
  }

  private mutating func beginIfComplete() -> [Action] {
    guard let run, !run.hasBegun, let join = run.join, run.input != nil,
      join.next == nil || run.isDownstreamReady
    else { return [] }
    self.run?.hasBegun = true
    return [
      .begin(run: run.number, coordinator: run.coordinator, downstream: run.downstream),
      .send(.joined, to: run.coordinator), .log(.joined(run.coordinatorName)),
    ]
  }

  // MARK: The end

  private mutating func closed(_ link: LinkID, _ closure: LinkClosure) -> [Action] {
    observers.remove(link)
    if strangers.remove(link) != nil { return gone(link, closure) }
    guard let run else { return [] }
    if link == run.coordinator {
      var code: String?
      if case .violated(let violation, _) = closure { code = violation }
      return end(
        telling: nil, because: "coordinator \(run.coordinatorName) \(closure)", code: code)
    }
    let name: String
    switch link {
    case run.upstream?.link: name = run.upstream?.name ?? ""
    case run.downstream: name = run.join?.next?.name ?? ""
    default: return []
    }
    if case .farewell(let farewell) = closure, farewell == Self.runEnded {
      // The neighbour only follows someone else's fault, of which the coordinator hears elsewhere.
      return end(telling: Self.runEnded, because: "\(name) has ended it")
    }
    let message = "\(description.node) lost \(name): it \(closure)"
    return end(
      telling: Farewell("runtime.nodeLost", message, context: ["node": name]), because: message)
  }

  /// A stranger went before it had said who it is.
  private func gone(_ link: LinkID, _ closure: LinkClosure) -> [Action] {
    switch closure {
    case .closedHere: return []
    case .violated(let code, let message):
      return [.log(.refused(message, code: code, on: link))]
    case .farewell, .broken, .silent:
      return [.log(.refused("it \(closure) before it said who it is", code: nil, on: link))]
    }
  }

  private mutating func end(
    telling farewell: Farewell?, because reason: String, code: String? = nil
  ) -> [Action] {
    guard let run else { return [] }
    self.run = nil
    var actions: [Action] = [.end(run: run.number)]
    if let farewell { actions.append(.close(run.coordinator, farewell)) }
    for link in [run.upstream?.link, run.downstream] {
      if let link { actions.append(.close(link, Self.runEnded)) }
    }
    let ordinary = farewell == Self.runEnded ? nil : farewell?.code
    return actions + [.log(.runOver(reason, code: code ?? ordinary))]
  }

  private mutating func stop() -> [Action] {
    isStopping = true
    let closures = (strangers.sorted() + observers.sorted()).map {
      Action.close($0, Farewell(stopping))
    }
    strangers = []
    observers = []
    return closures + end(telling: Farewell(stopping), because: "shutting down")
  }

  private mutating func refuse(_ link: LinkID, _ fault: RuntimeFault) -> [Action] {
    strangers.remove(link)
    observers.remove(link)
    if link == run?.coordinator { return end(telling: Farewell(fault), because: fault.message) }
    return [
      .close(link, Farewell(fault)), .log(.refused(fault.message, code: fault.code, on: link)),
    ]
  }

  // MARK: Words

  static let runEnded = Farewell("runtime.runEnded", "the run is over")

  private func busy(with whom: String) -> RuntimeFault {
    RuntimeFault(
      "busy", "\(description.node) is busy with \(whom); try again when it is free",
      exitStatus: .tryAgain, context: ["node": description.node])
  }

  private var stopping: RuntimeFault {
    RuntimeFault(
      "nodeStopping", "\(description.node) is being shut down", context: ["node": description.node])
  }

  private func unexpected(_ what: String) -> RuntimeFault {
    RuntimeFault(
      "unexpectedMessage", "\(description.node) got \(what)", context: ["node": description.node])
  }
}
