import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// Nodes that run elsewhere, here on other ports.
extension EndToEnd {
  @Suite struct Peers {
    /// `shardrun node` in a node's directory, and where it listens.
    private func node(_ directory: String) throws -> (program: RunningProgram, address: String) {
      let program = try RunningProgram(
        "shardrun", ["node", ".", "--listen", "127.0.0.1:0", "--json", "--quiet"], in: directory)
      try #require(
        RunningProgram.wait(seconds: 20) { program.output.hasSuffix("\n") || !program.isRunning })
      let json = try JSONParsing().parse(program.output)
      #expect(try violations(of: "shardrun.node", json) == [])
      return (program, try #require(json["listen"]?.string, "\(program.errors)"))
    }

    @Test func aRunWithPeersEqualsALocalOne() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [2, 2, 2])
      let first = try node("\(bundle)/nodes/node-1")
      let second = try node("\(bundle)/nodes/node-2")
      let peers = "node-1=\(first.address),node-2=\(second.address)"
      let options = ["--prompt", "Once upon a time", "--max-tokens", "40", "--quiet"]
      let local = try shardrun(["generate", bundle, "--local"] + options)
      // One coordinator after another, from the node's own directory or the whole bundle.
      for place in ["\(bundle)/nodes/node-0", bundle, "\(bundle)/nodes/node-0"] {
        let run = try shardrun(["generate", place, "--peers", peers] + options)
        #expect(run.output == local.output && local.output.count > 20)
      }
      #expect(first.program.isRunning && second.program.isRunning)
      for program in [first.program, second.program] {
        program.send(SIGTERM)
        let end = try #require(program.finish(withinSeconds: 4))
        #expect(end.status == 0 && !end.bySignal, "\(program.errors)")
      }
    }

    @Test func wrongPeersAreNamed() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [2, 2, 2])
      let other = try models.bundle(bits: 4, split: [1, 1, 4])
      let first = try node("\(bundle)/nodes/node-1")
      let second = try node("\(bundle)/nodes/node-2")
      let stranger = try node("\(other)/nodes/node-2")
      func errors(_ peers: String?, place: String = "nodes/node-0") throws -> (Int32, String) {
        let run = try ProgramRun.run(
          "shardrun",
          ["generate", "\(bundle)/\(place)", "--prompt", "Once", "--on-failure", "abort"]
            + (peers.map { ["--peers", $0] } ?? []))
        #expect(run.output.isEmpty)
        return (run.status, run.errors)
      }
      let both = "node-1=\(first.address),node-2=\(second.address)"
      let silent = try errors(nil)
      #expect(silent.0 == 64 && silent.1.contains("--peers node-1=HOST:PORT,node-2=HOST:PORT"))
      for (peers, name) in [
        ("node-1=\(first.address)", "node-2"),
        ("\(both),node-7=127.0.0.1:9", "node-7"),
        ("node-1=\(first.address),node-2=127.0.0.1:1", "node-2"),
        ("node-1=\(second.address),node-2=\(first.address)", "node-2"),
        ("node-1=\(first.address),node-2=\(stranger.address)", "node-2"),
      ] {
        let (status, text) = try errors(peers)
        #expect([64, 65, 69].contains(status) && text.contains(name), "\(peers): \(text)")
      }
      let wrongPlace = try errors(both, place: "nodes/node-1")
      #expect(wrongPlace.0 != 0 && wrongPlace.1.contains("node-"))
      // After all of that the nodes still serve.
      _ = try shardrun(["generate", "\(bundle)/nodes/node-0", "--prompt", "Once", "--peers", both])
    }

    @Test func aLostPeerEndsTheRunByName() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 16, split: [3, 3])
      let peer = try node("\(bundle)/nodes/node-1")
      let program = try RunningProgram(
        "shardrun",
        [
          "generate", "\(bundle)/nodes/node-0", "--peers", "node-1=\(peer.address)", "--prompt",
          "Once upon a time", "--max-tokens", "500", "--ignore-eos", "--on-failure", "abort",
        ], environment: ["SHARD_ISA": "reference"])
      try #require(RunningProgram.wait(seconds: 20) { program.output.count > 20 })
      let start = Date()
      peer.program.send(SIGKILL)
      let end = try #require(program.finish(withinSeconds: 10))
      #expect(end.status == 69 && program.errors.contains("node-1"), "\(program.errors)")
      #expect(Date().timeIntervalSince(start) < 3)
    }

    @Test func plainShardrunServesTheNodeWhoseDirectoryItIs() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [3, 3])
      let program = try RunningProgram(
        "shardrun", ["--listen", "127.0.0.1:0"], in: "\(bundle)/nodes/node-1")
      try #require(RunningProgram.wait(seconds: 20) { program.errors.contains("127.0.0.1:") })
      #expect(program.errors.contains("node-1") && program.errors.contains("layers 3-5"))
      #expect(program.output.isEmpty)
      program.send(SIGINT)
      let end = try #require(program.finish(withinSeconds: 4))
      #expect(end.status == 0 && !end.bySignal)
    }

    @Test func aWholeBundleAsksWhichNodeToServe() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [3, 3])
      let run = try ProgramRun.run("shardrun", ["node", bundle])
      #expect(run.status == 64 && run.errors.contains("--node"))
    }
  }
}
