import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// Processes that are killed, stopped or left alone.
extension EndToEnd {
  @Suite struct LostProcesses {
    /// A generation in three processes that has begun to print; slow on purpose.
    private func started() throws -> RunningProgram {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 16, split: [2, 2, 2])
      let program = try RunningProgram(
        "shardrun",
        [
          "generate", bundle, "--prompt", "Once upon a time", "--max-tokens", "500",
          "--ignore-eos", "--threads", "1", "--on-failure", "abort",
        ], environment: ["SHARD_ISA": "reference"])
      try #require(
        RunningProgram.wait(seconds: 20) { program.output.count > 20 || !program.isRunning },
        "\(program.errors)")
      try #require(program.isRunning, "\(program.errors)")
      return program
    }

    private func expectGone(_ children: [Int32]) {
      #expect(
        RunningProgram.wait(seconds: 2) { !children.contains(where: RunningProgram.exists) })
    }

    @Test(arguments: [(0, SIGKILL), (1, SIGKILL), (0, SIGSTOP), (1, SIGSTOP)])
    func aLostNodeEndsTheRunByName(child: Int, signal: Int32) throws {
      let program = try started()
      let children = program.children
      try #require(children.count == 2)
      let start = Date()
      kill(children[child], signal)
      let end = try #require(program.finish(withinSeconds: 10))
      let seconds = Date().timeIntervalSince(start)
      #expect(end.status == 69 && !end.bySignal, "\(end): \(program.errors)")
      #expect(seconds < (signal == SIGKILL ? 3 : 3.5), "\(seconds) s")
      #expect(program.errors.contains("node-\(child + 1)"), "\(program.errors)")
      #expect(program.output.hasSuffix("\n"))
      expectGone(children)
    }

    @Test func aKilledCoordinatorTakesItsNodesAlong() throws {
      let program = try started()
      let children = program.children
      try #require(children.count == 2)
      program.send(SIGKILL)
      _ = program.finish(withinSeconds: 5)
      expectGone(children)
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func aSignalEndsEverythingInOrder(signal: Int32) throws {
      let program = try started()
      let children = program.children
      program.send(signal)
      let end = try #require(program.finish(withinSeconds: 4))
      #expect(end.bySignal && end.status == signal)
      #expect(program.output.hasSuffix("\n"))
      expectGone(children)
    }

    @Test func aReaderThatLeavesEndsTheRun() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 16, split: [2, 2, 2])
      let program = "\(Places.programs)/shardrun"
      let start = Date()
      let run = try ProgramRun.run(
        "/bin/sh",
        [
          "-c",
          "SHARD_ISA=reference '\(program)' generate '\(bundle)' --prompt 'Once upon a time' "
            + "--max-tokens 500 --ignore-eos --quiet | head -c 20",
        ])
      #expect(run.output.count == 20)
      #expect(run.errors.isEmpty, "\(run.errors)")
      #expect(Date().timeIntervalSince(start) < 20)
    }

    @Test func aNodeThatCannotLoadLeavesNoProcess() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.copy(
        of: try models.bundle(bits: 4, split: [2, 2, 2]), name: "no-node-2")
      try Directory.remove("\(bundle)/nodes/node-2/manifest.json")
      let program = try RunningProgram(
        "shardrun", ["generate", bundle, "--prompt", "Once"])
      var seen: Set<Int32> = []
      _ = RunningProgram.wait(seconds: 10) {
        seen.formUnion(program.children)
        return !program.isRunning
      }
      let end = try #require(program.finish(withinSeconds: 1))
      #expect(end.status == 66 && program.errors.contains("node-2"), "\(program.errors)")
      expectGone(Array(seen))
    }

    @Test func everyProcessStaysWithinItsLedger() throws {
      let models = try PreparedModels.shared.get()
      for bits in [4, 16] {
        let bundle = try models.bundle(bits: bits, split: [2, 2, 2])
        let run = try shardrun([
          "bench", bundle, "--prompt-tokens", "300", "--generate-tokens", "32", "--repetitions",
          "2", "--json",
        ])
        let nodes = try #require(try JSONParsing().parse(run.output)["nodes"]?.array)
        #expect(nodes.count == 3)
        for node in nodes {
          let peak = try #require(node["peak_resident_bytes"]?.int)
          let ledger = try #require(node["ledger_bytes"]?.int)
          #expect(peak > 1 << 20 && peak <= ledger, "\(node)")
        }
      }
    }
  }
}
