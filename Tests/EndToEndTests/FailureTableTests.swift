import Foundation
import TestSupport
import Testing

/// Whether all cases are tried, which takes minutes: `make failures`.
private let wantsAll = ProcessInfo.processInfo.environment["SHARD_FAILURES"] != nil

extension EndToEnd {
  /// Whatever happens to a node or its link, at whatever moment: it is noticed in time, and the
  /// tokens are those of an undisturbed run.
  ///
  /// A few cases by default; all where SHARD_FAILURES is set.
  @Suite struct FailureTable {
    enum Blow: String, CaseIterable {
      case kill = "kill -9"
      case stop = "SIGSTOP"
      case cut = "link down"
      case delay = "200 ms delay"
      case loss = "2 % loss"

      /// Whether the node is gone for the others.
      var isLoss: Bool { self == .kill || self == .stop || self == .cut }
    }
    enum Moment: String, CaseIterable { case handshake, prefill, decode }
    struct Case: CustomTestStringConvertible {
      let blow: Blow
      let moment: Moment
      let node: Int
      var testDescription: String { "\(blow.rawValue) at \(moment.rawValue), node-\(node)" }
    }

    static let cases: [Case] = {
      let all = Blow.allCases.flatMap { blow in
        Moment.allCases.flatMap { moment in
          (0...2).map { Case(blow: blow, moment: moment, node: $0) }
        }
      }
      let few: [(Blow, Moment, Int)] = [
        (.kill, .handshake, 1), (.stop, .prefill, 2), (.cut, .decode, 1), (.loss, .prefill, 1),
        (.kill, .prefill, 0),
      ]
      return wantsAll
        ? all
        : all.filter { the in few.contains { $0 == (the.blow, the.moment, the.node) } }
    }()

    /// What every link takes, each way, so that there is time to strike.
    private static let usual = 3000
    /// Links that go down and packets that are lost in earnest, where all cases are tried and
    /// there can be hosts; else as a relay can have them.
    private let hosts: NetworkHosts?
    private let bundle: String
    private let options: [String]
    private let expected: String

    init() throws {
      hosts = wantsAll && NetworkHosts.obstacle == nil ? try NetworkHosts(3) : nil
      bundle = try PreparedModels.shared.get().bundle(bits: 4, split: [2, 2, 2])
      let ids = (0..<300).map { "\(3 + $0 * 37 % 900)" }.joined(separator: ",")
      options = [
        "--token-ids", "1," + ids, "--max-tokens", "20", "--ignore-eos", "--prefill-chunk", "4",
        "--threads", "1", "--temperature", "1", "--seed", "8",
      ]
      expected = try shardrun(["generate", bundle, "--local", "--quiet"] + options).output
      try #require(expected.count > 20)
    }

    private func start(_ nodes: ServedNodes) throws -> RunningProgram {
      try nodes.coordinator(["generate", "\(bundle)/nodes/node-0"] + options)
    }

    private func wait(for moment: Moment, of node: Int, _ nodes: ServedNodes, _ run: RunningProgram)
      throws
    {
      let way = nodes.relay(max(1, node)).way
      let hasCome = RunningProgram.wait(seconds: 20) {
        switch moment {
        case .handshake: way.connections > 0
        case .prefill: way.forwarded > 30_000
        case .decode: run.output.count > 8
        }
      }
      try #require(hasCome && run.isRunning, "\(run.errors)")
    }

    private func strike(_ the: Case, _ nodes: ServedNodes, _ run: RunningProgram) {
      let ways = (the.node == 0 ? [1, 2] : [the.node]).map { nodes.relay($0).way }
      let program = the.node == 0 ? run : nodes.program(the.node)
      switch the.blow {
      case .kill: program.send(SIGKILL)
      case .stop: program.send(SIGSTOP)
      case .cut:
        if let hosts { return hosts.cut(the.node, true) }
        for way in ways { way.cut(true) }
      case .delay: for way in ways { way.set(microseconds: 200_000) }
      case .loss:
        if let hosts { return hosts.lose(inThousand: 20, on: the.node) }
        for way in ways { way.set(microseconds: Self.usual, lossInThousand: 20) }
      }
    }

    private func heal(_ the: Case, _ nodes: ServedNodes, _ run: RunningProgram) throws {
      switch the.blow {
      case .kill where the.node > 0: try nodes.restart(the.node)
      case .stop: (the.node == 0 ? run : nodes.program(the.node)).send(SIGCONT)
      case .cut:
        hosts?.cut(the.node, false)
        for node in [1, 2] { nodes.relay(node).way.cut(false) }
      case .kill, .delay, .loss: break
      }
    }

    private func says(_ run: RunningProgram) -> Bool { run.errors.contains("; waiting up to") }

    @Test(arguments: cases) func tokensAreThoseOfAnUndisturbedRun(_ the: Case) throws {
      let nodes = try ServedNodes(bundle, count: 2, microseconds: Self.usual, hosts: hosts)
      var run = try start(nodes)
      try wait(for: the.moment, of: the.node, nodes, run)
      let struck = Date()
      strike(the, nodes, run)
      var noticed: Double?
      if the.blow == .kill, the.node == 0 {
        // Nobody is left to notice but the nodes, which serve the next one.
        _ = run.finish(withinSeconds: 5)
        run = try start(nodes)
        try #require(RunningProgram.wait(seconds: 10) { !run.output.isEmpty || !run.isRunning })
      } else if the.blow.isLoss {
        if the.blow == .stop, the.node == 0 {
          // The nodes let it go, which it learns when it wakes.
          usleep(4_000_000)
          try heal(the, nodes, run)
        }
        let beginning = the.blow == .stop && the.node == 0 ? struck.addingTimeInterval(4) : struck
        let isNoticed = RunningProgram.wait(seconds: 6) { says(run) || !run.isRunning }
        #expect(isNoticed && says(run), "\(run.errors)")
        noticed = Date().timeIntervalSince(beginning)
        #expect((noticed ?? 9) < 3, "\(run.errors)")
        try heal(the, nodes, run)
      }
      let healed = Date()
      let end = try #require(run.finish(withinSeconds: 60), "\(run.errors)")
      #expect(end.status == 0 && !end.bySignal, "\(run.errors)")
      #expect(run.output == expected, "\(run.errors)")
      if !the.blow.isLoss { #expect(!says(run), "\(run.errors)") }
      let time = noticed.map { "noticed after \(Self.text($0)) s, " } ?? ""
      let same = run.output == expected ? "same tokens" : "OTHER TOKENS"
      let name = the.testDescription.padding(toLength: 36, withPad: " ", startingAt: 0)
      print("\(name)\(time)done \(Self.text(Date().timeIntervalSince(healed))) s later, \(same)")
    }

    private static func text(_ seconds: Double) -> String {
      "\((seconds * 100).rounded() / 100)"
    }
  }
}
