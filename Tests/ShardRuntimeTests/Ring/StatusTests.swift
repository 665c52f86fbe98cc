import ShardRuntime
import ShardTransport
import TensorCore
import Testing

/// What nodes say of themselves to whoever asks, beside their work.
@Suite(.serialized) struct StatusTests {
  private func ask(_ address: HostPort) throws -> StatusQuery.Answer {
    let transport = TCPTransport()
    defer { transport.shutdown() }
    return try StatusQuery(transport: transport).ask(address)
  }

  @Test func idleAndServingNodesAnswer() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [2, 4]))
    let address = cluster.peers[1].address
    let idle = try ask(address)
    #expect(idle.status.activity == .idle && idle.status.coordinator == nil)
    #expect(idle.status.runs == 0 && idle.status.statistics.steps == 0)
    #expect(idle.status.description == cluster.plan.description(2))
    #expect(idle.roundTrip > .zero && idle.roundTrip < .milliseconds(500))
    #expect(idle.status.residentBytes > 1 << 20 && idle.status.uptimeSeconds >= 0)
    let pipeline = try cluster.pipeline()
    _ = try pipeline.statistics(restart: true)
    _ = try pipeline.run([1, 2, 3], firstPosition: 0, output: .nothing)
    _ = try pipeline.run([4], firstPosition: 3, output: .sample(.greedy, step: 0))
    let serving = try ask(address)
    #expect(serving.status.activity == .serving && serving.status.coordinator == "node-0")
    // All that the node has ever done, with the token that went round when the ring was made.
    #expect(serving.status.runs == 1 && serving.status.statistics.steps == 3)
    #expect(serving.status.statistics.tokens == 5)
    #expect(serving.status.sequences == 1 && serving.status.sequencesInUse == 1)
    #expect(serving.status.statistics.secondsPerDecodeStep != nil)
    // Asking has not disturbed the run, nor counted anything anew.
    #expect(try pipeline.run([5], firstPosition: 4, output: .nothing) == .none)
    #expect(try pipeline.statistics().last?.steps == 3)
    #expect(try ask(address).status.statistics.steps == 4)
    pipeline.shutdown()
    let after = Monotonic.now() + .seconds(2)
    while try ask(address).status.activity != .idle, Monotonic.now() < after {}
    #expect(try ask(address).status.runs == 1)
  }

  /// A node that computes for a second answers meanwhile.
  @Test func aBusyNodeAnswersAtOnce() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [3], delay: .milliseconds(700)))
    let address = cluster.peers[0].address
    let worker = DedicatedThread()
    let pipeline = try PipelineBox(cluster.pipeline())
    worker.enqueue {
      _ = try? pipeline.value.run([1, 2, 3], firstPosition: 0, output: .nothing)
    }
    pause(.milliseconds(900))
    let start = Monotonic.now()
    let answer = try ask(address)
    #expect(Monotonic.now() - start < .milliseconds(400))
    #expect(answer.status.activity == .serving)
    worker.finish()
  }

  // SAFETY: the worker uses the pipeline, and nobody else until it has finished.
  private final class PipelineBox: @unchecked Sendable {
    let value: InferencePipeline
    init(_ value: InferencePipeline) { self.value = value }
  }

  @Test func questionsAreBounded() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [3]))
    let address = cluster.peers[0].address
    var encoder = FrameEncoder()
    let question = Frame(kind: 23, payload: Array(#"{"protocol":3,"echo":false}"#.utf8))
    let bytes = encoder.encode(question)
    var asking: [RawPeer] = []
    for _ in 0..<8 {
      let peer = try #require(RawPeer(address))
      peer.send(bytes)
      #expect(try RawPeer.frames(#require(peer.readSome())).map(\.kind) == [24])
      asking.append(peer)
    }
    let late = try #require(RawPeer(address))
    late.send(bytes)
    let last = try RawPeer.frames(#require(late.readToEnd())).first { $0.kind == 2 }
    #expect(last.map { String(decoding: $0.payload, as: UTF8.self) }?.contains("busy") == true)
    // Those who ask can say nothing else.
    asking[0].send(encoder.encode(Frame(kind: 18, payload: Array(#"{"previous":"a"}"#.utf8))))
    #expect(asking[0].readToEnd() != nil)
    // They do not keep a coordinator from the node.
    _ = try cluster.pipeline()
    withExtendedLifetime(asking) {}
  }

  @Test func whoDoesNotAnswerIsNamed() throws {
    let transport = TCPTransport()
    defer { transport.shutdown() }
    let deaf = TCPTransport()
    defer { deaf.shutdown() }
    let listener = try deaf.listen(at: HostPort("127.0.0.1:0")) { _ in Deaf() }
    #expect {
      try StatusQuery(transport: transport).ask(listener.address, within: .milliseconds(300))
    } throws: {
      ($0 as? RuntimeFault)?.code == "runtime.noStatus" && "\($0)".contains("127.0.0.1")
    }
    listener.close()
    #expect(throws: TransportFault.self) {
      try StatusQuery(transport: transport).ask(listener.address)
    }
    let prober = LinkProbeServer(transport: deaf)
    let address = try prober.start(at: HostPort("127.0.0.1:0"))
    #expect {
      try StatusQuery(transport: transport).ask(address)
    } throws: {
      ($0 as? RuntimeFault)?.code == "runtime.onlyProbes"
    }
  }

  private final class Deaf: LinkHandler {
    func link(_ link: Link, received frame: Frame) {}
    func link(_ link: Link, closed closure: LinkClosure) {}
  }
}
