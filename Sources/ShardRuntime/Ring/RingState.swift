import ShardTransport

/// What the coordinator knows of its peers and of the results on their way, without sockets.
struct RingState {
  struct Peer {
    let name: String
    /// Where it is, or where its spare is that is in use.
    var address: HostPort
    /// The link in use; events of earlier attempts do not count.
    var link: UInt64?
    var welcome: StageDescription?
    var hasJoined = false
    var statistics: NodeStatistics?
    /// Why the link ended, while the ring is being made.
    var closure: LinkClosure?
  }

  private struct Suspicion {
    let fault: RuntimeFault
    /// When it counts, if nothing better is heard before.
    let until: Duration
  }

  /// How long a report about another node waits for that node's own words.
  static let settlingTime = Duration.milliseconds(250)

  var peers: [Peer]
  /// Whether the loss of a peer ends the ring.
  private(set) var isMade = false
  private var failure: RuntimeFault?
  private var suspicion: Suspicion?
  private var requests: [UInt32: PendingResult] = [:]
  private var nextRequest: UInt32 = 0

  init(peers: [(name: String, address: HostPort)]) {
    self.peers = peers.map { Peer(name: $0.name, address: $0.address) }
  }

  // MARK: What peers say

  mutating func receive(_ message: ControlMessage, from link: UInt64, peer index: Int) {
    guard peers[index].link == link else { return }
    switch message {
    case .welcome(let description) where peers[index].welcome == nil:
      peers[index].welcome = description
    case .joined where peers[index].welcome != nil: peers[index].hasJoined = true
    case .statistics(let statistics): peers[index].statistics = statistics
    default:
      fail(
        RuntimeFault(
          "unexpectedMessage", "\(peers[index].name) sent a message out of turn",
          context: ["node": peers[index].name]))
    }
  }

  mutating func receive(_ message: ResultMessage, from link: UInt64, peer index: Int) {
    guard peers[index].link == link else { return }
    guard index == peers.count - 1, requests[message.request] != nil else {
      return fail(PendingResult.unexpected)
    }
    do throws(RuntimeFault) {
      try requests[message.request]?.take(message.part)
    } catch {
      fail(error)
    }
  }

  mutating func closed(_ closure: LinkClosure, of link: UInt64, peer index: Int, at now: Duration) {
    guard peers[index].link == link, peers[index].closure == nil else { return }
    peers[index].closure = closure
    if isMade { judge(closure, of: peers[index], at: now) }
  }

  /// From here on the loss of any peer is the end of the ring.
  mutating func begin(at now: Duration) {
    isMade = true
    for peer in peers {
      if let closure = peer.closure { judge(closure, of: peer, at: now) }
    }
  }

  private mutating func judge(_ closure: LinkClosure, of peer: Peer, at now: Duration) {
    guard closure != .closedHere else { return }
    guard case .farewell(let farewell) = closure, farewell.code.hasPrefix("runtime.") else {
      return fail(Self.lost(peer, closure))
    }
    let fault = RuntimeFault(farewell, from: peer)
    // A node that names another one, or only follows, may have heard less than we soon will.
    if farewell == NodeMachine.runEnded || fault.context["node"] != peer.name {
      if suspicion == nil { suspicion = Suspicion(fault: fault, until: now + Self.settlingTime) }
    } else {
      fail(fault)
    }
  }

  /// Why a peer did not make it into the ring.
  static func lost(_ peer: Peer, _ closure: LinkClosure) -> RuntimeFault {
    if case .farewell(let farewell) = closure, farewell.code.hasPrefix("runtime.") {
      return RuntimeFault(farewell, from: peer)
    }
    if case .violated(_, let message) = closure, closure.isDistrust {
      return distrusted(peer, "\(peer.name) at \(peer.address): \(message)")
    }
    return RuntimeFault(
      "nodeLost",
      "lost \(peer.name) at \(peer.address): it \(closure); see that it runs, then try again",
      context: ["node": peer.name, "address": "\(peer.address)"])
  }

  /// Why nothing is said to a peer, nor heard from it.
  static func distrusted(_ peer: Peer, _ message: String) -> RuntimeFault {
    RuntimeFault(
      "notTrusted", message, exitStatus: .notTrusted,
      context: ["node": peer.name, "address": "\(peer.address)"])
  }

  // MARK: Failure

  mutating func fail(_ fault: RuntimeFault) {
    if failure == nil { failure = fault }
  }

  /// Why the ring has ended, as far as it is certain.
  func failure(at now: Duration) -> RuntimeFault? {
    if let failure { return failure }
    guard let suspicion, suspicion.until <= now else { return nil }
    return suspicion.fault
  }

  /// When to look for a failure again though nothing happens.
  var settlesAt: Duration? { suspicion?.until }

  // MARK: Requests

  /// Announces a step; its result comes with the number returned.
  mutating func request(_ output: StepOutput, rows: Int, vocabularySize: Int) -> UInt32 {
    let number = nextRequest
    nextRequest &+= 1
    requests[number] = PendingResult(output, rows: rows, vocabularySize: vocabularySize)
    return number
  }

  /// The result of a request, once it is complete; it is handed out once.
  mutating func takeResult(of number: UInt32) -> StepResult? {
    guard let result = requests[number]?.result else { return nil }
    requests[number] = nil
    return result
  }

  /// The results of several requests, once all are complete.
  mutating func takeResults(of numbers: [UInt32]) -> [StepResult]? {
    guard numbers.allSatisfy({ requests[$0]?.result != nil }) else { return nil }
    return numbers.compactMap { takeResult(of: $0) }
  }
}

extension RuntimeFault {
  /// A node's last words as this side's fault.
  init(_ farewell: Farewell, from peer: RingState.Peer) {
    var context = farewell.context
    context["node"] = context["node"] ?? peer.name
    context["address"] = "\(peer.address)"
    self.init(
      String(farewell.code.dropFirst("runtime.".count)),
      farewell == NodeMachine.runEnded
        ? "\(peer.name) at \(peer.address) has ended the run" : farewell.message,
      exitStatus: farewell.exitStatus, context: context)
  }
}
