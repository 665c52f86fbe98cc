import Foundation
import TestSupport
import Testing

extension EndToEnd {
  /// Runs in which a node is killed at a random moment and started again: the same output each
  /// time, and nothing is left behind.
  ///
  /// A few by default; SHARD_KILLS says how many (`make failures`: 100).
  @Suite struct KillTrials {
    private static let count =
      ProcessInfo.processInfo.environment["SHARD_KILLS"].flatMap { Int($0) } ?? 4
    private let bundle: String
    private let expected: String

    init() throws {
      bundle = try PreparedModels.shared.get().bundle(bits: 4, split: [2, 2, 2])
      expected = try shardrun(["generate", bundle, "--local", "--quiet"] + Survival.options).output
    }

    /// Processes of this machine that serve this bundle.
    private func servants() -> Int {
      RunningProgram.count(with: ["shardrun", "node", bundle])
    }

    @Test func everyRunGivesTheSame() throws {
      let seed = UInt64(Date().timeIntervalSince1970 * 1000)
      var random = SeededGenerator(seed: seed)
      let nodes = try ServedNodes(bundle, count: 2, microseconds: 2000)
      // What a whole run takes, and what the nodes have open between two.
      let start = Date()
      #expect(try finished(nodes, nil, &random) == (expected, false))
      let duration = Date().timeIntervalSince(start)
      var uses = try [1, 2].map { try #require(nodes.idleUse($0)) }
      var (same, losses, recovered) = (0, 0, 0)
      for trial in 0..<Self.count {
        let node = Int.random(in: 1...2, using: &random)
        let moment = Double.random(in: 0...duration, using: &random)
        let (output, hadLoss) = try finished(nodes, (node, moment), &random)
        #expect(output == expected, "seed \(seed), trial \(trial), node-\(node) at \(moment) s")
        same += output == expected ? 1 : 0
        recovered += hadLoss ? 1 : 0
        losses += 1
        // The one that lived through it has closed all it had.
        let other = 3 - node
        let use = try #require(nodes.idleUse(other))
        #expect(use.descriptors <= uses[other - 1].descriptors + 2, "seed \(seed), trial \(trial)")
        #expect(use.residentBytes < uses[other - 1].residentBytes + (24 << 20))
        uses[node - 1] = try #require(nodes.idleUse(node))
        #expect(servants() == 2, "orphans after trial \(trial)")
      }
      print("\(losses) kills, \(recovered) in the middle of a run: \(same) identical outputs")
    }

    /// The output of a run in which a node was killed, and whether the run had to go on anew.
    private func finished(
      _ nodes: ServedNodes, _ kill: (node: Int, moment: Double)?, _ random: inout SeededGenerator
    ) throws -> (String, Bool) {
      let run = try RunningProgram(
        "shardrun",
        ["generate", "\(bundle)/nodes/node-0", "--peers", nodes.peers] + Survival.options)
      if let (node, moment) = kill {
        usleep(UInt32(moment * 1e6))
        nodes.program(node).send(SIGKILL)
        usleep(UInt32.random(in: 0...300_000, using: &random))
        try nodes.restart(node)
      }
      let end = try #require(run.finish(withinSeconds: 40), "a hang: \(run.errors)")
      #expect(end.status == 0 && !end.bySignal, "\(run.errors)")
      return (run.output, run.errors.contains("all nodes are there after"))
    }

    /// The same with children of the program itself.
    @Test func childrenLeaveNothingBehind() throws {
      var random = SeededGenerator(seed: 77)
      for _ in 0..<max(2, Self.count / 10) {
        let run = try RunningProgram(
          "shardrun", ["generate", bundle, "--local"] + Survival.options,
          environment: ["SHARD_ISA": "reference"])
        try #require(RunningProgram.wait(seconds: 20) { run.children.count == 2 })
        usleep(UInt32.random(in: 0...500_000, using: &random))
        if let child = run.children.randomElement(using: &random) { kill(child, SIGKILL) }
        let end = try #require(run.finish(withinSeconds: 40), "a hang: \(run.errors)")
        // A child that dies before it serves ends the run by its name.
        #expect(
          end.status == 0 && run.output == expected
            || end.status == 69 && run.errors.contains("node-") && run.output.isEmpty,
          "\(run.errors)")
        #expect(RunningProgram.wait(seconds: 2) { servants() == 0 })
      }
    }
  }
}
