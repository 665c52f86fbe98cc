import ShardRuntime
import ShardTransport
import TensorCore
import Testing

/// Generations whose ring loses nodes and that go on when these are back.
@Suite struct SurvivalTests {
  enum Moment: CaseIterable { case connect, prefill, decode }
  enum Blow: CaseIterable { case stop, restart }
  struct Case: CustomStringConvertible {
    let moment: Moment
    let blow: Blow
    let node: Int
    var description: String { "node-\(node) \(blow) at \(moment)" }
  }

  static let cases = Moment.allCases.flatMap { moment in
    Blow.allCases.flatMap { blow in [1, 2].map { Case(moment: moment, blow: blow, node: $0) } }
  }

  static let request: GenerationRequest = {
    let sampling = SamplingParameters(temperature: 0.9, topK: 20, topP: 0.95, seed: 7)
    return GenerationRequest(
      promptIds: RingTests.prompt, maximumTokens: 30, sampling: sampling)
  }()

  static let limits = SequenceLimits(context: 64, vocabularySize: TinyModel.vocabularySize)

  static func undisturbed() throws -> [Int32] {
    let pipeline = try InferencePipeline(stage: TinyPlan(cuts: []).stage(0))
    let generator = Generator(runner: pipeline, tokenizer: nil, limits: limits)
    return try generator.generate(request).tokenIds
  }

  /// What a recovery told.
  final class Events {
    var waits: [(node: String?, at: Duration)] = []
    var replayed: [Int] = []

    func take(_ event: RecoveryEvent) {
      switch event {
      case .waiting(let fault, _): waits.append((fault.context["node"], Monotonic.now()))
      case .restored(_, let count): replayed.append(count)
      }
    }
  }

  @Test(arguments: cases) func tokensAreThoseOfAnUndisturbedRun(_ the: Case) throws {
    let site = try FailureTests.Site()
    let events = Events()
    let recovery = RingRecovery(.wait(.seconds(20)), onEvent: events.take)
    let stage = site.plan.stage(0)
    func connect(_ error: (any Error)?, _ patience: Duration) throws -> InferencePipeline {
      var options = InferencePipeline.Options()
      options.connectPatience = patience
      return try InferencePipeline(
        stage: stage, peers: site.peers, options: options, transport: site.coordinator)
    }
    let healer: DedicatedThread
    var struck = Monotonic.now()
    func strike() -> DedicatedThread {
      struck = Monotonic.now()
      return site.strikeAndHeal(the.blow == .stop ? .stop : .leave, node: the.node)
    }
    if the.moment == .connect {
      healer = strike()
      pause(.milliseconds(20))
    } else {
      healer = DedicatedThread()
    }
    let pipeline = try recovery.establish(patience: .milliseconds(500), connect)
    let runner = ReplayingRunner(pipeline, recovery: recovery, connect: connect)
    let generator = Generator(runner: runner, tokenizer: nil, limits: Self.limits)
    var healers = [healer]
    if the.moment == .prefill {
      struck = Monotonic.now()
      healers.append(
        site.strikeAndHeal(
          the.blow == .stop ? .stop : .leave, node: the.node, after: .milliseconds(25)))
    }
    var seen: [Int32] = []
    let result = try generator.generate(Self.request) { step in
      if let token = step.token { seen.append(token) }
      if the.moment == .decode, seen.count == 11 { healers.append(strike()) }
      return true
    }
    for healer in healers { healer.finish() }
    #expect(result.tokenIds == (try Self.undisturbed()))
    #expect(seen == result.tokenIds)
    let first = try #require(events.waits.first, "the loss was not noticed")
    #expect(first.node == "node-\(the.node)")
    #expect(first.at - struck < .milliseconds(1500))
    if the.moment == .decode { #expect(events.replayed.contains { $0 >= 31 }) }
    if the.moment != .connect {
      #expect(result.timings.lostSeconds > 0.2)
      // The times of the rest do not count what was lost.
      #expect(result.timings.decodeSeconds < 2)
    }
  }

  /// Another machine that serves the same part takes over.
  @Test func aSpareTakesOver() throws {
    let site = try FailureTests.Site()
    let machine = LoopbackTransport(network: site.network, timing: FailureTests.timing)
    defer { machine.shutdown() }
    let spare = NodeServer(
      stage: site.plan.stage(1), listen: HostPort(host: "spare", port: 1), transport: machine)
    let address = try spare.start()
    defer { spare.shutdown() }
    let recovery = RingRecovery(.wait(.seconds(20)))
    let stage = site.plan.stage(0)
    func connect(_ error: (any Error)?, _ patience: Duration) throws -> InferencePipeline {
      var options = InferencePipeline.Options()
      options.connectPatience = patience
      options.spares = ["node-1": [address]]
      return try InferencePipeline(
        stage: stage, peers: site.peers, options: options, transport: site.coordinator)
    }
    let runner = ReplayingRunner(
      try connect(nil, .seconds(1)), recovery: recovery, connect: connect)
    var count = 0
    let result = try Generator(runner: runner, tokenizer: nil, limits: Self.limits)
      .generate(Self.request) { _ in
        count += 1
        if count == 7 { site.servers[0].shutdown() }
        return true
      }
    #expect(result.tokenIds == (try Self.undisturbed()))
    #expect(recovery.losses >= 1)
  }

  @Test func patienceEnds() throws {
    let site = try FailureTests.Site()
    let events = Events()
    let recovery = RingRecovery(.wait(.milliseconds(700)), onEvent: events.take)
    func connect(_ error: (any Error)?, _ patience: Duration) throws -> InferencePipeline {
      var options = InferencePipeline.Options()
      options.connectPatience = patience
      return try InferencePipeline(
        stage: site.plan.stage(0), peers: site.peers, options: options,
        transport: site.coordinator)
    }
    let runner = ReplayingRunner(
      try connect(nil, .seconds(1)), recovery: recovery, connect: connect)
    _ = try runner.run([1, 2, 3], firstPosition: 0, output: .nothing)
    site.servers[1].shutdown()
    let start = Monotonic.now()
    let fault = try #require(throws: RuntimeFault.self) {
      while true { _ = try runner.run([1], firstPosition: 3, output: .nothing) }
    }
    #expect(fault.code == "runtime.nodeLost" && fault.exitStatus == .unavailable)
    #expect(fault.message.contains("node-2 did not come back within 700 ms"), "\(fault)")
    #expect(Monotonic.now() - start < .seconds(3))
  }

  @Test func whatTimeCannotHealEndsAtOnce() throws {
    let runner = CountingRunner(vocabularySize: 10)
    runner.failsAtRun = 2
    let recovery = RingRecovery(.wait(.seconds(20)))
    let replaying = ReplayingRunner(runner, recovery: recovery) { error, _ in
      Issue.record("nothing is made again for \(error)")
      return runner
    }
    let generator = Generator(
      runner: replaying, tokenizer: nil,
      limits: SequenceLimits(context: 10, vocabularySize: 10))
    #expect(throws: CountingRunner.Broken.self) {
      try generator.generate(GenerationRequest(promptIds: [1], maximumTokens: 4))
    }
    let busy = RuntimeFault("busy", "node-1 is busy", exitStatus: .tryAgain)
    #expect(throws: RuntimeFault.self) {
      try recovery.establish(patience: .zero) { _, _ -> Int in throw busy }
    }
  }

  /// A ring that breaks again and again without a result in between is given up.
  @Test func oneDeadlineForLossesWithoutProgress() throws {
    final class Flapping: SequenceRunner {
      func reset() throws {}
      func rewind(to count: Int) throws -> Int { 0 }
      func run(_ ids: [Int32], firstPosition: Int, output: StepOutput) throws -> StepResult {
        pause(.milliseconds(50))
        throw RuntimeFault("nodeLost", "lost node-1", context: ["node": "node-1"])
      }
    }
    let recovery = RingRecovery(.wait(.milliseconds(400)))
    let runner = ReplayingRunner(Flapping(), recovery: recovery) { _, _ in Flapping() }
    let start = Monotonic.now()
    let fault = try #require(throws: RuntimeFault.self) {
      try runner.run([1], firstPosition: 0, output: .nothing)
    }
    #expect(fault.message.contains("within 400 ms"))
    #expect(Monotonic.now() - start < .seconds(2))
    #expect(recovery.losses > 3)
  }
}

extension FailureTests.Site {
  /// Strikes a node and makes it whole again half a second later; a node that left is another one
  /// at the same address, whose caches are empty.
  func strikeAndHeal(
    _ blow: FailureTests.Blow, node: Int, after time: Duration = .zero
  ) -> DedicatedThread {
    let (machine, server, plan) = (machines[node - 1], servers[node - 1], plan)
    let next = NodeServer(
      stage: plan.stage(node), listen: HostPort(host: "node-\(node)", port: 1), transport: machine)
    servers.append(next)
    let thread = DedicatedThread()
    thread.enqueue {
      pause(time)
      switch blow {
      case .stop: machine.freeze()
      case .leave: server.shutdown()
      }
      pause(.milliseconds(800))
      switch blow {
      case .stop: machine.thaw()
      case .leave:
        do {
          _ = try next.start()
        } catch {
          Issue.record(error)
        }
      }
    }
    return thread
  }
}
