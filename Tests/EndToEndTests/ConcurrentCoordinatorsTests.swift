import Foundation
import StrictJSON
import TestSupport
import Testing

extension EndToEnd {
  /// Two users at the same nodes at the same time.
  @Suite struct ConcurrentCoordinators {
    @Test func eachHasTheTokensThatItHasAlone() throws {
      let directory = try TemporaryDirectory()
      let bundle = try ChatModels.pack(
        ChatModels.shared.get().directory.appending("checkpoint"), nodes: 3,
        to: directory.appending("bundle"), planning: ["--sequences", "2"])
      func arguments(_ prompt: String, _ seed: String) -> [String] {
        [
          "--prompt", prompt, "--max-tokens", "400", "--ignore-eos", "--temperature", "1",
          "--seed", seed, "--threads", "1", "--quiet",
        ]
      }
      let users = [arguments("Once upon a time", "1"), arguments("The old bear", "2")]
      let expected = try users.map { try shardrun(["generate", bundle, "--local"] + $0).output }
      let nodes = try ServedNodes(bundle, count: 2)
      // Slow kernels leave time to look.
      let place = ["generate", "\(bundle)/nodes/node-0", "--peers", nodes.peers]
      let runs = try users.map {
        try RunningProgram("shardrun", place + $0, environment: ["SHARD_ISA": "reference"])
      }
      let haveBegun = RunningProgram.wait(seconds: 20) { runs.allSatisfy { $0.output.count > 10 } }
      try #require(haveBegun, "\(runs.map(\.errors))")
      let status = try shardrun(["status", "--peers", nodes.peers, "--json"])
      let peers = try #require(try JSONParsing().parse(status.output)["nodes"]?.array)
      #expect(peers.count == 2 && runs.allSatisfy(\.isRunning))
      for peer in peers {
        #expect(peer["sequences_in_use"]?.int == 2 && peer["sequences"]?.int == 2)
        #expect(peer["coordinator"]?.string == "node-0, node-0")
      }
      let text = try shardrun(["status", "--peers", nodes.peers]).output
      #expect(text.contains("serving node-0, node-0 (2/2)"), "\(text)")
      for (run, output) in zip(runs, expected) {
        let end = try #require(run.finish(withinSeconds: 60), "\(run.errors)")
        #expect(end.status == 0 && !end.bySignal, "\(run.errors)")
        #expect(run.output == output)
      }
    }

    @Test func whoFindsNoRoomIsToldSo() throws {
      let directory = try TemporaryDirectory()
      let bundle = try ChatModels.pack(
        ChatModels.shared.get().directory.appending("checkpoint"), nodes: 2,
        to: directory.appending("bundle"), planning: ["--sequences", "2"])
      let nodes = try ServedNodes(bundle, count: 1)
      let place = ["\(bundle)/nodes/node-0", "--peers", nodes.peers]
      // A chat that waits for a question has its sequence all the while.
      let input = Pipe()
      let chats = try (0..<2).map { _ in
        try RunningProgram(
          "shardrun", ["chat"] + place + ["--json"], input: input.fileHandleForReading)
      }
      let areThere = RunningProgram.wait(seconds: 20) {
        let run = try? shardrun(["status", "--peers", nodes.peers])
        return run?.output.contains("(2/2)") == true
      }
      try #require(areThere, "\(chats.map(\.errors))")
      let refused = try ProgramRun.run("shardrun", ["generate"] + place + ["--prompt", "Once"])
      #expect(refused.status == 75, "\(refused.errors)")
      #expect(refused.errors.contains("use 2 of its 2 sequences"), "\(refused.errors)")
      try input.fileHandleForWriting.close()
      for chat in chats { _ = try #require(chat.finish(withinSeconds: 10)) }
      #expect(try shardrun(["generate"] + place + ["--prompt", "Once", "-q"]).status == 0)
    }
  }
}
