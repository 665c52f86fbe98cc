import ShardTransport
import TensorCore
import Testing

/// Every transport goes through this one suite.
@Suite struct LinkConformanceTests {
  static let kinds = ["loopback", "tcp", "tls"]

  private func makeTransport(_ kind: String, timing: LinkTiming = LinkTiming()) -> any Transport {
    switch kind {
    case "tcp": TCPTransport(timing: timing)
    case "tls": TCPTransport(timing: timing, identity: TestIdentity.first)
    default: LoopbackTransport(timing: timing)
    }
  }

  @Test(arguments: kinds) func framesArriveInOrderAndWhole(kind: String) throws {
    let pair = try LinkPair(makeTransport(kind))
    defer { pair.shutdown() }
    pair.establish(LinkLimits(frame: 1 << 20))
    var sent: [Frame] = []
    for index in 0..<200 {
      let size = (index * index * 37) % 100_000
      let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ index) }
      sent.append(Frame(kind: UInt8(64 + index % 3), payload: payload))
    }
    pair.far.consumesAtOnce = true
    for frame in sent { try pair.near.link?.send(frame) }
    #expect(pair.far.frames(200) == sent)
  }

  @Test(arguments: kinds) func fullWindowMakesTheSenderWait(kind: String) throws {
    let pair = try LinkPair(makeTransport(kind))
    defer { pair.shutdown() }
    pair.establish(LinkLimits(frame: 1000))
    let frame = Frame(kind: 64, payload: [UInt8](repeating: 7, count: 1000))
    let sender = DedicatedThread()
    let near = try #require(pair.near.link)
    let sentCount = Monitor(0)
    sender.enqueue {
      for _ in 0..<10 where (try? near.send(frame)) != nil { sentCount.update { $0 += 1 } }
    }
    _ = pair.far.frames(2)
    _ = sentCount.wait(until: Monotonic.now() + .milliseconds(200)) { $0 > 2 ? true : nil }
    #expect(sentCount.withLock { $0 } == 2)
    #expect(pair.far.frameCount == 2)
    pair.far.consume(fromNowOn: true)
    #expect(pair.far.frames(10).count == 10)
    sender.finish()
  }

  @Test(arguments: kinds) func waitingSenderIsWokenByTheEnd(kind: String) throws {
    let pair = try LinkPair(makeTransport(kind))
    defer { pair.shutdown() }
    pair.establish(LinkLimits(frame: 1000))
    let frame = Frame(kind: 64, payload: [UInt8](repeating: 7, count: 1000))
    let near = try #require(pair.near.link)
    try near.send(frame)
    try near.send(frame)
    let closer = DedicatedThread()
    closer.enqueue { pair.far.link?.close(Farewell("test.over", "the test is over")) }
    #expect { try near.send(frame) } throws: { error in
      (error as? TransportFault)?.code == "transport.closed"
        && "\(error)".contains("the test is over")
    }
    closer.finish()
  }

  @Test(arguments: kinds) func lastWordsArriveAfterAllFrames(kind: String) throws {
    let pair = try LinkPair(makeTransport(kind))
    defer { pair.shutdown() }
    pair.establish(LinkLimits(frame: 1 << 20))
    let farewell = Farewell(
      "test.over", "node-1 stops", exitStatus: .tryAgain, context: ["node": "node-1"])
    try pair.near.link?.send(Frame(kind: 65, payload: [UInt8](repeating: 1, count: 900_000)))
    pair.near.link?.close(farewell)
    #expect(pair.far.closure() == .farewell(farewell))
    #expect(pair.far.frameCount == 1)
    #expect(pair.near.closure() == .closedHere)
  }

  @Test(arguments: kinds) func dataBeforeTheHandshakeIsRefused(kind: String) throws {
    let pair = try LinkPair(makeTransport(kind))
    defer { pair.shutdown() }
    pair.near.link?.establish(LinkLimits(frame: 1000))
    try pair.near.link?.send(Frame(kind: 64))
    guard case .violated(code: "transport.tooEarly", _)? = pair.far.closure() else {
      Issue.record("\(String(describing: pair.far.closure()))")
      return
    }
    guard case .farewell(let farewell)? = pair.near.closure() else {
      Issue.record("\(String(describing: pair.near.closure()))")
      return
    }
    #expect(farewell.code == "transport.tooEarly")
  }

  @Test(arguments: kinds) func idleLinksStayOpenByHeartbeats(kind: String) throws {
    let timing = LinkTiming(
      heartbeat: .milliseconds(40), deadline: .milliseconds(400), establishing: .milliseconds(400),
      tick: .milliseconds(20))
    let pair = try LinkPair(makeTransport(kind, timing: timing))
    defer { pair.shutdown() }
    pair.establish(LinkLimits(frame: 1000))
    #expect(pair.near.closure(within: .milliseconds(1200)) == nil)
    try pair.near.link?.send(Frame(kind: 64))
    #expect(pair.far.frames(1).count == 1)
  }

  @Test(arguments: kinds) func linkWithoutHandshakeIsClosed(kind: String) throws {
    let timing = LinkTiming(
      heartbeat: .milliseconds(40), deadline: .milliseconds(400), establishing: .milliseconds(200),
      tick: .milliseconds(20))
    let pair = try LinkPair(makeTransport(kind, timing: timing))
    defer { pair.shutdown() }
    #expect(pair.near.closure(within: .seconds(2)) != nil)
    #expect(pair.far.closure(within: .seconds(2)) != nil)
  }

  @Test(arguments: kinds) func nobodyListens(kind: String) throws {
    let transport = makeTransport(kind)
    defer { transport.shutdown() }
    let listener = try transport.listen(at: HostPort("127.0.0.1:0")) { _ in nil }
    let address = listener.address
    listener.close()
    #expect {
      try transport.connect(to: address, timeout: .seconds(1), handler: Recorder())
    } throws: {
      ($0 as? TransportFault)?.message == "cannot connect to \(address): Connection refused"
    }
  }

  @Test(arguments: kinds) func addressInUse(kind: String) throws {
    let transport = makeTransport(kind)
    defer { transport.shutdown() }
    let listener = try transport.listen(at: HostPort("127.0.0.1:0")) { _ in nil }
    #expect { try transport.listen(at: listener.address) { _ in nil } } throws: {
      ($0 as? TransportFault)?.code == "transport.listen"
        && "\($0)".contains("Address already in use")
    }
    listener.close()
  }
}
