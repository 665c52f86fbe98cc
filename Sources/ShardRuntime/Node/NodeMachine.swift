import ShardTransport

/// The rules by which a node serves coordinators, without sockets or threads.
///
/// A run begins with a coordinator's hello and ends with the loss of any of its links. It has some
/// of the node's sequences for itself; there may be others as long as sequences are left.
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
    /// Forget these sequences and compute them for these links from now on.
    case begin(run: Int, coordinator: LinkID, downstream: LinkID?, sequences: [Int])
    case compute(Frame, from: LinkID, run: Int)
    case sendStatistics(to: LinkID, run: Int, restart: Bool)
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
    /// The node's sequences that it has for itself.
    let sequences: [Int]
    var join: ControlMessage.Join?
    var upstream: (link: LinkID, name: String)?
    var downstream: LinkID?
    var isDownstreamReady = false
    var hasBegun = false

    /// The link that hidden states come on.
    var input: LinkID? {
      join?.previous == coordinatorName ? coordinator : upstream?.link
    }

    func has(_ link: LinkID) -> Bool {
      link == coordinator || link == upstream?.link || link == downstream
    }
  }

  /// Links that may be open without a hello.
  static let mostStrangers = 32
  /// Links that may ask for the status.
  static let mostObservers = 8

  let description: StageDescription
  /// How many it holds at once.
  private let sequences: Int
  /// Those that no run has.
  private var free: [Int]
  /// In the order in which they came.
  private var runs: [Run] = []
  private var runCount = 0
  private var strangers: Set<LinkID> = []
  private var observers: Set<LinkID> = []
  private var isStopping = false

  init(_ description: StageDescription, sequences: Int) {
    self.description = description
    self.sequences = sequences
    free = Array(0..<sequences)
  }

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
      guard let run = runs.first(where: { $0.hasBegun && $0.input == link }) else {
        return refuse(link, unexpected("data outside of a run"))
      }
      return [.compute(frame, from: link, run: run.number)]
    case .unreadable(let fault, let link): return refuse(link, fault)
    case .dialed(let result, let number): return dialed(result, run: number)
    case .closed(let link, let closure): return closed(link, closure)
    case .computeFailed(let fault, let number):
      guard let index = runs.firstIndex(where: { $0.number == number }) else { return [] }
      return end(index, telling: Farewell(fault), because: fault.message)
    case .stop: return stop()
    }
  }

  // MARK: Handshake

  private mutating func receive(_ message: ControlMessage, from link: LinkID) -> [Action] {
    let index = runs.firstIndex { $0.has(link) }
    let run = index.map { runs[$0] }
    switch message {
    case .hello(let hello): return greet(hello, link)
    case .join(let join) where link == run?.coordinator: return take(join, of: index ?? 0)
    case .welcome(let next) where link == run?.downstream:
      return welcomed(by: next, of: index ?? 0)
    case .statisticsRequest(let restart) where link == run?.coordinator:
      return [.sendStatistics(to: link, run: run?.number ?? 0, restart: restart)]
    case .probe where strangers.contains(link):
      guard runs.isEmpty else { return refuse(link, busy(with: "a run")) }
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
      runs.isEmpty ? .idle : runs.contains(where: \.hasBegun) ? .serving : .joining
    return actions + [
      .sendStatus(
        to: link,
        Occupation(
          activity: activity, coordinator: runs.isEmpty ? nil : coordinators, runs: runCount,
          sequences: sequences, sequencesInUse: sequences - free.count))
    ]
  }

  /// Their names, if they are no more than a message may hold.
  private var coordinators: String {
    let names = runs.map(\.coordinatorName).joined(separator: ", ")
    return names.utf8.count <= 1000 ? names : "\(runs.count) coordinators"
  }

  /// Whether a run goes on.
  func has(run number: Int) -> Bool { runs.contains { $0.number == number } }

  private mutating func greet(_ hello: ControlMessage.Hello, _ link: LinkID) -> [Action] {
    guard strangers.remove(link) != nil else {
      return refuse(link, unexpected("a second hello"))
    }
    if let fault = misdirected(hello) { return refuse(link, fault) }
    switch hello.role {
    case .coordinator:
      guard !isStopping else { return refuse(link, stopping) }
      if let fault = noRoom(for: hello) { return refuse(link, fault) }
      runCount += 1
      runs.append(
        Run(
          number: runCount, id: hello.run, coordinator: link, coordinatorName: hello.from,
          sequences: Array(free.prefix(hello.sequences))))
      free.removeFirst(hello.sequences)
      return [
        .send(.welcome(description), to: link), .establish(link),
        .log(.coordinatorConnected(hello.from, on: link)),
      ]
    case .upstream:
      guard
        let index = runs.firstIndex(where: {
          $0.id == hello.run && $0.upstream == nil
            && ($0.join == nil || $0.join?.previous == hello.from)
        })
      else {
        return refuse(
          link,
          RuntimeFault("unknownRun", "\(description.node) takes no part in a run of \(hello.from)"))
      }
      runs[index].upstream = (link, hello.from)
      return [.send(.welcome(description), to: link), .establish(link)] + beginIfComplete(index)
    }
  }

  /// Why a coordinator cannot have the sequences that it asks for.
  private func noRoom(for hello: ControlMessage.Hello) -> RuntimeFault? {
    guard hello.sequences <= sequences else {
      return RuntimeFault(
        "unknownSequence",
        "\(description.node) has room for \(sequences) sequences, not for \(hello.sequences)",
        exitStatus: .usage, context: ["node": description.node])
    }
    // Its coordinator may have come another way before, and lost it.
    if runs.contains(where: { $0.id == hello.run }) {
      return busy(with: "another link of this run")
    }
    if hello.sequences <= free.count { return nil }
    if runs.count == 1, free.isEmpty { return busy(with: "another coordinator") }
    return busy(
      with: (runs.count == 1 ? "a coordinator that uses " : "\(runs.count) coordinators that use ")
        + "\(sequences - free.count) of its \(sequences) sequences")
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

  private mutating func take(_ join: ControlMessage.Join, of index: Int) -> [Action] {
    let run = runs[index]
    guard run.join == nil, (join.next == nil) == description.holdsHead,
      run.upstream == nil || run.upstream?.name == join.previous
    else {
      return refuse(
        run.coordinator, unexpected("a place in the ring that this node cannot take"))
    }
    runs[index].join = join
    if let next = join.next { return [.dial(next, run: run.number)] }
    return beginIfComplete(index)
  }

  private mutating func dialed(
    _ result: Result<LinkID, TransportFault>, run number: Int
  ) -> [Action] {
    guard let index = runs.firstIndex(where: { $0.number == number }),
      let next = runs[index].join?.next
    else {
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
        index,
        telling: Farewell(
          "runtime.cannotReach", message, exitStatus: fault.exitStatus,
          context: ["node": next.name]),
        because: message)
    case .success(let link):
      runs[index].downstream = link
      let hello = ControlMessage.Hello(
        role: .upstream, run: runs[index].id, sequences: runs[index].sequences.count,
        bundleID: description.bundleID, from: description.node, to: next.name)
      return [.send(.hello(hello), to: link)]
    }
  }

  private mutating func welcomed(by next: StageDescription, of index: Int) -> [Action] {
    guard let link = runs[index].downstream else { return [] }
    guard !runs[index].isDownstreamReady, next.node == runs[index].join?.next?.name,
      next.bundleID == description.bundleID,
      next.layers.lowerBound == description.layers.upperBound
    else { return refuse(link, unexpected("a welcome of another node")) }
    runs[index].isDownstreamReady = true
    return [.establish(link)] + beginIfComplete(index)
  }

  private mutating func beginIfComplete(_ index: Int) -> [Action] {
    let run = runs[index]
    guard !run.hasBegun, let join = run.join, run.input != nil,
      join.next == nil || run.isDownstreamReady
    else { return [] }
    runs[index].hasBegun = true
    return [
      .begin(
        run: run.number, coordinator: run.coordinator, downstream: run.downstream,
        sequences: run.sequences),
      .send(.joined, to: run.coordinator), .log(.joined(run.coordinatorName)),
    ]
  }

  // MARK: The end

  private mutating func closed(_ link: LinkID, _ closure: LinkClosure) -> [Action] {
    observers.remove(link)
    if strangers.remove(link) != nil { return gone(link, closure) }
    guard let index = runs.firstIndex(where: { $0.has(link) }) else { return [] }
    let run = runs[index]
    if link == run.coordinator {
      var code: String?
      if case .violated(let violation, _) = closure { code = violation }
      return end(
        index, telling: nil, because: "coordinator \(run.coordinatorName) \(closure)", code: code)
    }
    let name = (link == run.downstream ? run.join?.next?.name : run.upstream?.name) ?? ""
    if case .farewell(let farewell) = closure, farewell == Self.runEnded {
      // The neighbour only follows someone else's fault, of which the coordinator hears elsewhere.
      return end(index, telling: Self.runEnded, because: "\(name) has ended it")
    }
    let message = "\(description.node) lost \(name): it \(closure)"
    return end(
      index, telling: Farewell("runtime.nodeLost", message, context: ["node": name]),
      because: message)
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
    _ index: Int, telling farewell: Farewell?, because reason: String, code: String? = nil
  ) -> [Action] {
    let run = runs.remove(at: index)
    free = (free + run.sequences).sorted()
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
    var ends: [Action] = []
    while !runs.isEmpty {
      ends += end(0, telling: Farewell(stopping), because: "shutting down")
    }
    return closures + ends
  }

  private mutating func refuse(_ link: LinkID, _ fault: RuntimeFault) -> [Action] {
    strangers.remove(link)
    observers.remove(link)
    if let index = runs.firstIndex(where: { $0.coordinator == link }) {
      return end(index, telling: Farewell(fault), because: fault.message)
    }
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
