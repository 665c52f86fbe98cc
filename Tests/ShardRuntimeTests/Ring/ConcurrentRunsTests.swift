import ShardRuntime
import ShardTransport
import TensorCore
import Testing

/// Several coordinators at the same nodes.
@Suite struct ConcurrentRunsTests {
  private let plan = TinyPlan(cuts: [2, 4], sequences: 3)
  private let answers = RingTests().answers

  private static let hello =
    #"{"protocol":3,"role":"coordinator","run":"r1","sequences":1,"bundle":"bundle-1","#
    + #""from":"node-0","to":"node-1"}"#

  private func pipeline(
    _ cluster: TinyCluster, sequences: Int?, patience: Duration = .milliseconds(2500)
  ) throws -> InferencePipeline {
    var options = InferencePipeline.Options()
    options.sequences = sequences
    options.connectPatience = patience
    return try InferencePipeline(
      stage: cluster.plan.stage(0), peers: cluster.peers, options: options)
  }

  private func token(
    _ pipeline: InferencePipeline, _ ids: [Int32], at position: Int
  ) throws -> Int32 {
    let result = try pipeline.run(
      ids, firstPosition: position, output: .sample(.greedy, step: position))
    guard case .token(let token) = result else { throw RingTests.Unexpected() }
    return token
  }

  // SAFETY: each is used by one thread at a time.
  private final class Coordinator: @unchecked Sendable {
    let pipeline: InferencePipeline
    var found: Result<RingTests.Answers, any Error>?
    init(_ pipeline: InferencePipeline) { self.pipeline = pipeline }
  }

  @Test func eachAnswersAsIfAlone() throws {
    let single = try answers(InferencePipeline(stage: TinyPlan(cuts: []).stage(0)))
    let cluster = try TinyCluster(plan)
    let coordinators = try (0..<3).map { _ in
      Coordinator(try pipeline(cluster, sequences: 1))
    }
    let threads = coordinators.map { coordinator in
      let thread = DedicatedThread()
      thread.enqueue {
        coordinator.found = Result { try RingTests().answers(coordinator.pipeline) }
      }
      return thread
    }
    for thread in threads { thread.finish() }
    for coordinator in coordinators { #expect(try coordinator.found?.get() == single) }
  }

  /// The calls of two coordinators alternate, so that a node that mixed up their sequences would
  /// go on with the wrong one.
  @Test func theirSequencesAreKeptApart() throws {
    let alone = try InferencePipeline(stage: TinyPlan(cuts: []).stage(0))
    let prompts: [[Int32]] = [[3, 1, 4, 1, 5], [2, 7, 1]]
    let expected = try prompts.map { prompt in
      try alone.reset()
      return try continuation(of: prompt) { try token(alone, $0, at: $1) }
    }
    let cluster = try TinyCluster(plan)
    let pipelines = try (0..<2).map { _ in try pipeline(cluster, sequences: 1) }
    var tokens = try zip(pipelines, prompts).map { [try token($0, $1, at: 0)] }
    for step in 0..<12 {
      for index in [1, 0] {
        let position = prompts[index].count + step
        tokens[index].append(
          try token(pipelines[index], [tokens[index][step]], at: position))
      }
    }
    #expect(tokens == expected)
    // Each counts what is its own.
    let steps = try pipelines.map { try $0.statistics().map(\.tokens) }
    #expect(steps[0].dropFirst().allSatisfy { $0 == 1 + prompts[0].count + 12 }, "\(steps)")
    #expect(steps[1].dropFirst().allSatisfy { $0 == 1 + prompts[1].count + 12 }, "\(steps)")
  }

  private func continuation(
    of prompt: [Int32], _ token: ([Int32], Int) throws -> Int32
  ) rethrows -> [Int32] {
    var tokens = [try token(prompt, 0)]
    for step in 0..<12 { tokens.append(try token([tokens[step]], prompt.count + step)) }
    return tokens
  }

  @Test func whoWantsMoreThanIsLeftHearsSo() throws {
    let cluster = try TinyCluster(plan)
    let first = try pipeline(cluster, sequences: 2)
    let fault = try #require(throws: RuntimeFault.self) {
      try pipeline(cluster, sequences: 2, patience: .milliseconds(200))
    }
    #expect(fault.code == "runtime.busy" && fault.exitStatus == .tryAgain)
    #expect(
      fault.message.contains("a coordinator that uses 2 of its 3 sequences"), "\(fault.message)")
    let second = try pipeline(cluster, sequences: 1)
    _ = try token(second, [1, 2], at: 0)
    // What one gives back another can have.
    first.shutdown()
    let third = try pipeline(cluster, sequences: 2)
    #expect(third.sequences == 2)
    _ = try token(third, [1, 2], at: 0)
    second.shutdown()
    third.shutdown()
    #expect(try pipeline(cluster, sequences: nil).sequences == 3)
  }

  /// The end of one run, or its fault, is nothing to the other.
  @Test func theFaultOfOneIsNothingToTheOther() throws {
    let cluster = try TinyCluster(plan)
    let steady = try pipeline(cluster, sequences: 1)
    var expected = try token(steady, [5, 6, 7], at: 0)
    for round in 0..<8 {
      if round.isMultiple(of: 2) {
        let other = try pipeline(cluster, sequences: 1)
        _ = try token(other, [9, 8, 7], at: 0)
        other.shutdown()
      } else {
        // It says hello and goes without a word.
        let peer = try #require(RawPeer(cluster.peers[0].address))
        var encoder = FrameEncoder()
        peer.send(encoder.encode(Frame(kind: 16, payload: Array(Self.hello.utf8))))
        _ = try #require(peer.readSome())
      }
      expected = try token(steady, [expected], at: 3 + round)
    }
    let alone = try InferencePipeline(stage: TinyPlan(cuts: []).stage(0))
    var last = try token(alone, [5, 6, 7], at: 0)
    for round in 0..<8 { last = try token(alone, [last], at: 3 + round) }
    #expect(last == expected)
  }

  /// However long names are, the status can be read.
  @Test func namesDoNotFillTheStatus() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [3], sequences: 2))
    let address = cluster.peers[0].address
    let name = String(repeating: "n", count: 1020)
    let peers = try ["r1", "r2"].map { run in
      var encoder = FrameEncoder()
      let peer = try #require(RawPeer(address))
      let hello = Self.hello.replacing("r1", with: run).replacing("node-0", with: name)
      peer.send(encoder.encode(Frame(kind: 16, payload: Array(hello.utf8))))
      _ = try #require(peer.readSome())
      return peer
    }
    let transport = TCPTransport()
    defer { transport.shutdown() }
    let status = try StatusQuery(transport: transport).ask(address).status
    #expect(status.coordinator == "2 coordinators" && status.sequencesInUse == 2)
    withExtendedLifetime(peers) {}
  }

  /// A coordinator that comes again while its run is still there is asked to wait.
  @Test func aRunIsThereOnce() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [3], sequences: 2))
    var encoder = FrameEncoder()
    let hello = encoder.encode(Frame(kind: 16, payload: Array(Self.hello.utf8)))
    let first = try #require(RawPeer(cluster.peers[0].address))
    first.send(hello)
    _ = try #require(first.readSome())
    let second = try #require(RawPeer(cluster.peers[0].address))
    second.send(hello)
    let words = try #require(second.readToEnd())
    #expect(
      RawPeer.frames(words).contains {
        String(decoding: $0.payload, as: UTF8.self).contains("runtime.busy")
      })
    withExtendedLifetime(first) {}
  }

  /// A sequence that is another coordinator's cannot be named.
  @Test func sequencesOfOthersAreOutOfReach() throws {
    let cluster = try TinyCluster(TinyPlan(cuts: [3], sequences: 2))
    let steady = try pipeline(cluster, sequences: 1)
    let token = try token(steady, [5, 6, 7], at: 0)
    let peer = try #require(RawPeer(cluster.peers[0].address))
    var encoder = FrameEncoder()
    for frame in [
      Frame(kind: 16, payload: Array(Self.hello.utf8)),
      Frame(kind: 18, payload: Array(#"{"previous":"node-0","next":null}"#.utf8)),
      Frame(kind: 65, payload: [0, 0, 0, 0, 1, 0]),
    ] { peer.send(encoder.encode(frame)) }
    let words = try #require(peer.readToEnd())
    #expect(
      RawPeer.frames(words).contains {
        String(decoding: $0.payload, as: UTF8.self).contains("runtime.unknownSequence")
      })
    #expect(try self.token(steady, [token], at: 3) >= 0)
  }
}
