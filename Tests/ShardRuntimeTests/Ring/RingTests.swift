import ShardRuntime
import ShardTransport
import TensorCore
import Testing

@Suite struct RingTests {
  static let prompt: [Int32] = (0..<21).map { Int32(($0 * 13 + 5) % 50) }

  /// Everything that one pipeline says about the prompt and a greedy continuation.
  struct Answers: Equatable {
    var logits: [Float]
    var likelihoods: [Double]
    var tokens: [Int32]
  }

  func answers(_ pipeline: InferencePipeline) throws -> Answers {
    let prompt = Self.prompt
    guard case .logits(let logits) = try pipeline.run(prompt, firstPosition: 0, output: .logits)
    else { throw Unexpected() }
    try pipeline.reset()
    let scored = try pipeline.run(
      prompt, firstPosition: 0, output: .negativeLogLikelihood(targets: prompt.reversed()))
    guard case .negativeLogLikelihood(let likelihoods) = scored else { throw Unexpected() }
    try pipeline.reset()
    #expect(try pipeline.run(Array(prompt.prefix(9)), firstPosition: 0, output: .nothing) == .none)
    var ids = Array(prompt.dropFirst(9))
    var position = 9
    var tokens: [Int32] = []
    let sampling = SamplingParameters(temperature: 0.9, topK: 20, topP: 0.95, seed: 7)
    for step in 0..<30 {
      let result = try pipeline.run(
        ids, firstPosition: position, output: .sample(step < 10 ? .greedy : sampling, step: step))
      guard case .token(let token) = result else { throw Unexpected() }
      position += ids.count
      ids = [token]
      tokens.append(token)
    }
    try pipeline.reset()
    return Answers(logits: logits, likelihoods: likelihoods, tokens: tokens)
  }

  struct Unexpected: Error {}

  @Test func everyCutAndChunkAnswersAlike() throws {
    let single = try answers(InferencePipeline(stage: TinyPlan(cuts: []).stage(0)))
    #expect(single.logits.count == Self.prompt.count * TinyModel.vocabularySize)
    let loopback = LoopbackTransport()
    defer { loopback.shutdown() }
    for cuts in [[1], [3], [5], [1, 2], [2, 4], [1, 2, 3, 4, 5]] {
      let cluster = try TinyCluster(TinyPlan(cuts: cuts), transport: { _ in loopback })
      for chunk in [1, 3, 8] {
        let pipeline = try cluster.pipeline(prefillChunk: chunk, transport: loopback)
        #expect(try answers(pipeline) == single, "cuts \(cuts), chunk \(chunk)")
        pipeline.shutdown()
      }
    }
  }

  @Test func tcpAndLoopbackAnswerAlike() throws {
    let single = try answers(InferencePipeline(stage: TinyPlan(cuts: []).stage(0)))
    let cluster = try TinyCluster(TinyPlan(cuts: [2, 4]))
    let pipeline = try cluster.pipeline()
    #expect(try answers(pipeline) == single)
    #expect(try answers(pipeline) == single)
  }

  /// One ring whose links are of both kinds: the coordinator speaks TCP with the nodes, the
  /// nodes speak loopback among themselves.
  @Test func mixedTransportsAnswerAlike() throws {
    let single = try answers(InferencePipeline(stage: TinyPlan(cuts: []).stage(0)))
    let mixed = MixedTransport()
    defer { mixed.shutdown() }
    let cluster = try TinyCluster(TinyPlan(cuts: [1, 3, 4]), transport: { _ in mixed })
    let tcp = TCPTransport()
    defer { tcp.shutdown() }
    let pipeline = try cluster.pipeline(transport: tcp)
    #expect(try answers(pipeline) == single)
    #expect(mixed.loopbackLinks == 2)
  }

  @Test func oneCoordinatorAfterTheOther() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [2, 4]))
    var all: [Answers] = []
    for _ in 0..<5 {
      let pipeline = try cluster.pipeline()
      all.append(try answers(pipeline))
      pipeline.shutdown()
    }
    #expect(all.allSatisfy { $0 == all[0] })
  }

  @Test func busyNodeSaysSo() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [3]))
    let first = try cluster.pipeline()
    var options = InferencePipeline.Options()
    options.connectPatience = .milliseconds(300)
    let fault = try #require(throws: RuntimeFault.self) {
      try InferencePipeline(stage: cluster.plan.stage(0), peers: cluster.peers, options: options)
    }
    #expect(fault.code == "runtime.busy")
    #expect(fault.exitStatus == .tryAgain)
    #expect(fault.message.contains("node-1"))
    // The first one is not disturbed.
    #expect(try first.run([1, 2, 3], firstPosition: 0, output: .nothing) == .none)
  }

  @Test func waitsForABusyNode() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [3]))
    let first = try cluster.pipeline()
    let closer = DedicatedThread()
    let box = Monitor(Optional(Handle(first)))
    closer.enqueue {
      pause(.milliseconds(400))
      box.withLock { $0?.pipeline.shutdown() }
    }
    let second = try cluster.pipeline()
    #expect(try second.run([1, 2, 3], firstPosition: 0, output: .nothing) == .none)
    closer.finish()
  }

  // SAFETY: the test hands the pipeline to one other thread and leaves it alone from then on.
  private final class Handle: @unchecked Sendable {
    let pipeline: InferencePipeline
    init(_ pipeline: InferencePipeline) { self.pipeline = pipeline }
  }

  @Test func wrongBundle() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [3]))
    let other = TinyPlan(cuts: [3], bundleID: "bundle-2")
    let fault = try #require(throws: RuntimeFault.self) {
      try InferencePipeline(stage: other.stage(0), peers: cluster.peers)
    }
    #expect(fault.code == "runtime.wrongBundle")
    #expect(fault.exitStatus == .badData)
    #expect(fault.message.contains("node-1") && fault.message.contains("bundle-2"))
  }

  @Test func namesAndAddressesAreChecked() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [2, 4]))
    let (one, two) = (cluster.peers[0], cluster.peers[1])
    func code(_ peers: [(name: String, address: HostPort)], node: Int = 0) -> String? {
      do {
        _ = try InferencePipeline(stage: cluster.plan.stage(node), peers: peers)
        return nil
      } catch {
        return (error as? RuntimeFault)?.code
      }
    }
    #expect(code([one]) == "runtime.missingNode")
    #expect(code([]) == "runtime.missingNode")
    #expect(code([one, two, ("node-9", two.address)]) == "runtime.unknownNode")
    #expect(code([one, two, ("node-0", HostPort(host: "h", port: 1))]) == "runtime.unknownNode")
    #expect(code([one, two, ("node-1", HostPort(host: "h", port: 1))]) == "runtime.nodeTwice")
    #expect(code([one, ("node-2", one.address)]) == "runtime.nodeTwice")
    #expect(code([("node-1", two.address), ("node-2", one.address)]) == "runtime.wrongNode")
    #expect(code([one, two], node: 1) == "runtime.notCoordinator")
    // The order in which they are given does not matter, and nothing above broke the nodes.
    #expect(code([two, one]) == nil)
  }

  @Test func missingNodeIsNamedInTime() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [2, 4]))
    cluster.servers[1].shutdown()
    let start = Monotonic.now()
    let fault = try #require(throws: RuntimeFault.self) { try cluster.pipeline() }
    #expect(fault.code == "runtime.unreachable")
    #expect(fault.exitStatus == .unavailable)
    #expect(fault.context["node"] == "node-2")
    #expect(fault.message.contains("node-2") && fault.message.contains("Connection refused"))
    #expect(Monotonic.now() - start < .seconds(3))
  }

  @Test func misuseIsRefusedWithoutHarm() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [3]))
    let pipeline = try cluster.pipeline()
    func code(_ body: () throws -> StepResult) -> String? {
      do {
        _ = try body()
        return nil
      } catch { return (error as? RuntimeFault)?.code }
    }
    #expect(code { try pipeline.run([], firstPosition: 0, output: .nothing) } == "runtime.noTokens")
    #expect(
      code { try pipeline.run([1], firstPosition: 3, output: .nothing) }
        == "runtime.positionMismatch")
    #expect(
      code { try pipeline.run([50], firstPosition: 0, output: .nothing) }
        == "runtime.tokenOutsideVocabulary")
    #expect(
      code {
        try pipeline.run([1], firstPosition: 0, output: .negativeLogLikelihood(targets: [-1]))
      } == "runtime.tokenOutsideVocabulary")
    let long = [Int32](repeating: 1, count: 65)
    #expect(
      code { try pipeline.run(long, firstPosition: 0, output: .nothing) }
        == "runtime.contextExceeded")
    #expect(try pipeline.run(Array(long.dropLast()), firstPosition: 0, output: .nothing) == .none)
  }

  @Test func statisticsComeFromEveryNode() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [2, 4], delay: .milliseconds(4)))
    let pipeline = try cluster.pipeline()
    _ = try pipeline.statistics(restart: true)
    _ = try pipeline.run(Array(Self.prompt.prefix(16)), firstPosition: 0, output: .nothing)
    for step in 0..<3 {
      _ = try pipeline.run([1], firstPosition: 16 + step, output: .sample(.greedy, step: step))
    }
    let all = try pipeline.statistics()
    #expect(all.map(\.node) == ["node-0", "node-1", "node-2"])
    #expect(all.map(\.layers) == [0..<2, 2..<4, 4..<6])
    #expect(all.map(\.holdsHead) == [false, false, true])
    for node in all {
      #expect(node.steps == 5)
      #expect(node.tokens == 19)
      #expect(try #require(node.secondsPerDecodeStep) >= 0.004)
      #expect(try #require(node.secondsPerPrefillToken) >= 0.0005)
      #expect(node.peakResidentBytes > 1 << 20)
    }
  }

  /// Five chunks through three nodes of 30 ms each: 7 turns, not 15.
  @Test func prefillChunksOverlap() throws {
    let loopback = LoopbackTransport()
    defer { loopback.shutdown() }
    let plan = TinyPlan(cuts: [2, 4], delay: .milliseconds(30))
    let cluster = try TinyCluster(plan, transport: { _ in loopback })
    let pipeline = try cluster.pipeline(transport: loopback)
    let ids = [Int32](repeating: 3, count: 40)
    let start = Monotonic.now()
    _ = try pipeline.run(ids, firstPosition: 0, output: .nothing)
    let time = Monotonic.now() - start
    #expect(time >= .milliseconds(7 * 30))
    #expect(time < .milliseconds(12 * 30), "\(time)")
  }
}

/// Connects by loopback, and listens on TCP as well.
final class MixedTransport: Transport {
  static let name = "mixed"
  private let tcp = TCPTransport()
  private let loopback = LoopbackTransport()
  private let count = Monitor(0)

  var loopbackLinks: Int { count.withLock { $0 } }

  func listen(
    at address: HostPort, handler: @escaping @Sendable (Link) -> (any LinkHandler)?
  ) throws(TransportFault) -> any Listener {
    let listener = try tcp.listen(at: address, handler: handler)
    _ = try loopback.listen(at: listener.address, handler: handler)
    return listener
  }

  func connect(
    to address: HostPort, timeout: Duration, handler: any LinkHandler
  ) throws(TransportFault) -> Link {
    count.update { $0 += 1 }
    return try loopback.connect(to: address, timeout: timeout, handler: handler)
  }

  func shutdown() {
    tcp.shutdown()
    loopback.shutdown()
  }
}
