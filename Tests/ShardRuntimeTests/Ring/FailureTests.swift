import ShardRuntime
import ShardTransport
import TensorCore
import Testing

/// Nodes that stop, leave and come back, at every moment of a run.
@Suite struct FailureTests {
  /// Five times as fast as in earnest, so that many cases take seconds.
  static let timing = LinkTiming(
    heartbeat: .milliseconds(100), deadline: .milliseconds(500), establishing: .milliseconds(500),
    tick: .milliseconds(50))

  enum Moment: CaseIterable { case connect, prefill, decode, idle }
  enum Blow: CaseIterable { case stop, leave }
  struct Case: CustomStringConvertible {
    let moment: Moment
    let blow: Blow
    let node: Int
    var description: String { "node-\(node) \(blow) at \(moment)" }
  }

  static let cases = Moment.allCases.flatMap { moment in
    Blow.allCases.flatMap { blow in [1, 2].map { Case(moment: moment, blow: blow, node: $0) } }
  }

  /// A ring of three machines; the tests' thread is the coordinator.
  final class Site {
    let network = LoopbackNetwork()
    let plan: TinyPlan
    let coordinator: LoopbackTransport
    var machines: [LoopbackTransport] = []
    var servers: [NodeServer] = []
    var peers: [(name: String, address: HostPort)] = []

    init(sequences: Int = 1) throws {
      plan = TinyPlan(
        cuts: [2, 4], prefillChunk: 2, delay: .milliseconds(5), sequences: sequences)
      coordinator = LoopbackTransport(network: network, timing: FailureTests.timing)
      for index in 1...2 {
        let machine = LoopbackTransport(network: network, timing: FailureTests.timing)
        machines.append(machine)
        let server = NodeServer(
          stage: plan.stage(index), listen: HostPort(host: "node-\(index)", port: 1),
          transport: machine)
        servers.append(server)
        peers.append(("node-\(index)", try server.start()))
      }
    }

    func pipeline() throws -> InferencePipeline {
      try InferencePipeline(stage: plan.stage(0), peers: peers, transport: coordinator)
    }

    /// Strikes a node on another thread, after a time.
    func strike(_ blow: Blow, node: Int, after time: Duration) -> DedicatedThread {
      let (machine, server) = (machines[node - 1], servers[node - 1])
      let thread = DedicatedThread()
      thread.enqueue {
        pause(time)
        switch blow {
        case .stop: machine.freeze()
        case .leave: server.shutdown()
        }
      }
      return thread
    }

    deinit {
      for machine in machines { machine.thaw() }
      for server in servers { server.shutdown() }
      for machine in machines { machine.shutdown() }
      coordinator.shutdown()
    }
  }

  @Test(arguments: cases) func lossIsNoticedAndNamed(_ the: Case) throws {
    let site = try Site()
    var struck = Monotonic.now()
    let fault = try #require(throws: RuntimeFault.self) {
      if the.moment == .connect {
        site.strike(the.blow, node: the.node, after: .zero).finish()
        struck = Monotonic.now()
        _ = try site.pipeline()
        return
      }
      let pipeline = try site.pipeline()
      let striker: DedicatedThread
      switch the.moment {
      case .connect, .prefill:
        striker = site.strike(the.blow, node: the.node, after: .milliseconds(40))
        struck = Monotonic.now() + .milliseconds(40)
        _ = try pipeline.run(
          [Int32](repeating: 1, count: 60), firstPosition: 0, output: .nothing)
      case .decode:
        striker = site.strike(the.blow, node: the.node, after: .milliseconds(40))
        struck = Monotonic.now() + .milliseconds(40)
        for step in 0..<64 {
          _ = try pipeline.run([1], firstPosition: step, output: .sample(.greedy, step: step))
        }
      case .idle:
        striker = site.strike(the.blow, node: the.node, after: .zero)
        striker.finish()
        struck = Monotonic.now()
        pause(.milliseconds(800))
        _ = try pipeline.run([1], firstPosition: 0, output: .nothing)
      }
      striker.finish()
    }
    let time = Monotonic.now() - struck
    #expect(fault.exitStatus == .unavailable, "\(fault)")
    #expect(fault.context["node"] == "node-\(the.node)", "\(fault) \(fault.context)")
    #expect(fault.message.contains("node-\(the.node)"), "\(fault)")
    // Connecting is tried for 2.5 s where nobody answers; all else is noticed by 0.5 s of silence.
    #expect(time < (the.moment == .connect ? .seconds(3) : .milliseconds(1500)), "\(time)")
  }

  @Test func briefStopDoesNoHarm() throws {
    let site = try Site()
    let pipeline = try site.pipeline()
    let undisturbed = try pipeline.run(
      [Int32](repeating: 1, count: 40), firstPosition: 0, output: .logits)
    try pipeline.reset()
    let striker = DedicatedThread()
    let machine = site.machines[0]
    striker.enqueue {
      pause(.milliseconds(20))
      machine.freeze()
      pause(.milliseconds(200))
      machine.thaw()
    }
    let disturbed = try pipeline.run(
      [Int32](repeating: 1, count: 40), firstPosition: 0, output: .logits)
    striker.finish()
    #expect(disturbed == undisturbed)
  }

  @Test func nodesServeTheNextAfterTheCoordinatorDied() throws {
    let site = try Site()
    let first = LoopbackTransport(network: site.network, timing: Self.timing)
    let pipeline = try InferencePipeline(
      stage: site.plan.stage(0), peers: site.peers, transport: first)
    _ = try pipeline.run([1, 2, 3], firstPosition: 0, output: .nothing)
    // As if it had been stopped in mid-run: the nodes hear nothing any more.
    first.freeze()
    var options = InferencePipeline.Options()
    options.connectPatience = .seconds(3)
    let next = try InferencePipeline(
      stage: site.plan.stage(0), peers: site.peers, options: options, transport: site.coordinator)
    let reference = try InferencePipeline(stage: TinyPlan(cuts: []).stage(0))
    let output = StepOutput.sample(.greedy, step: 0)
    #expect(
      try next.run([4, 5, 6], firstPosition: 0, output: output)
        == reference.run([4, 5, 6], firstPosition: 0, output: output))
    first.thaw()
    #expect(throws: RuntimeFault.self) {
      while true { _ = try pipeline.run([1], firstPosition: 3, output: .nothing) }
    }
    first.shutdown()
  }

  @Test func nodesServeTheNextAfterALostNodeIsBack() throws {
    let site = try Site()
    let pipeline = try site.pipeline()
    site.machines[1].freeze()
    #expect(throws: RuntimeFault.self) {
      _ = try pipeline.run([1, 2, 3], firstPosition: 0, output: .nothing)
    }
    site.machines[1].thaw()
    var options = InferencePipeline.Options()
    options.connectPatience = .seconds(3)
    let next = try InferencePipeline(
      stage: site.plan.stage(0), peers: site.peers, options: options, transport: site.coordinator)
    #expect(try next.run([1, 2, 3], firstPosition: 0, output: .nothing) == .none)
  }

  @Test func shutdownSaysGoodbyeAfterTheStepAtWork() throws {
    let site = try Site()
    let pipeline = try site.pipeline()
    site.servers[1].shutdown()
    let fault = try #require(throws: RuntimeFault.self) {
      while true { _ = try pipeline.run([1], firstPosition: 0, output: .nothing) }
    }
    #expect(fault.code == "runtime.nodeStopping")
    #expect(fault.message == "node-2 is being shut down")
    site.servers[1].waitUntilClosed()
  }
}
