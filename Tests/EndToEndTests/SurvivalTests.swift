import Foundation
import StrictJSON
import TestSupport
import Testing

extension EndToEnd {
  /// Nodes that are lost and come back while a text is written: the text is the one that would
  /// have been.
  @Suite struct Survival {
    static let options = options(tokens: 60)

    static func options(tokens: Int) -> [String] {
      [
        "--prompt", "Once upon a time", "--max-tokens", "\(tokens)", "--ignore-eos",
        "--temperature", "0.9", "--top-k", "40", "--seed", "5", "--threads", "1",
      ]
    }

    private let bundle: String
    private let expected: String

    init() throws {
      let models = try PreparedModels.shared.get()
      bundle = try models.bundle(bits: 4, split: [2, 2, 2])
      expected = try shardrun(["generate", bundle, "--local", "--quiet"] + Self.options).output
      try #require(expected.count > 60)
    }

    private func started(_ nodes: ServedNodes, peers: String? = nil, _ options: [String] = [])
      throws -> RunningProgram
    {
      let program = try RunningProgram(
        "shardrun",
        ["generate", "\(bundle)/nodes/node-0", "--peers", peers ?? nodes.peers] + Self.options
          + options)
      try #require(
        RunningProgram.wait(seconds: 20) { program.output.count > 20 || !program.isRunning })
      return program
    }

    private func expectWhole(_ program: RunningProgram, _ text: String? = nil) throws {
      let end = try #require(program.finish(withinSeconds: 30), "\(program.errors)")
      #expect(end.status == 0 && !end.bySignal, "\(program.errors)")
      #expect(program.output == text ?? expected)
      #expect(program.errors.contains("all nodes are there after"), "\(program.errors)")
      #expect(program.errors.contains(" with nodes"), "\(program.errors)")
    }

    @Test(arguments: [1, 2]) func aKilledNodeComesBack(node: Int) throws {
      let nodes = try ServedNodes(bundle, count: 2, microseconds: 5000)
      let program = try started(nodes)
      nodes.program(node).send(SIGKILL)
      try #require(
        RunningProgram.wait(seconds: 3) {
          program.errors.contains("lost node-\(node)") && program.errors.contains("up to 60 s")
        }, "\(program.errors)")
      try nodes.restart(node)
      try expectWhole(program)
    }

    @Test func aStoppedNodeGoesOn() throws {
      let nodes = try ServedNodes(bundle, count: 2, microseconds: 5000)
      let program = try started(nodes)
      nodes.program(1).send(SIGSTOP)
      let isNoticed = RunningProgram.wait(seconds: 3) { program.errors.contains("lost node-1") }
      #expect(isNoticed, "\(program.errors)")
      nodes.program(1).send(SIGCONT)
      try expectWhole(program)
    }

    @Test func aSpareTakesOver() throws {
      let nodes = try ServedNodes(bundle, count: 2, microseconds: 5000)
      let spare = try nodes.spare(of: 2)
      let program = try started(nodes, peers: "\(nodes.peers)|\(spare.address)")
      nodes.program(2).send(SIGKILL)
      try expectWhole(program)
      withExtendedLifetime(spare) {}
    }

    @Test func childrenAreStartedAgain() throws {
      // Without relays in between it takes more tokens to be in time.
      let arguments = ["generate", bundle, "--local"] + Self.options(tokens: 450)
      let expected = try shardrun(arguments).output
      for signal in [SIGKILL, SIGSTOP] {
        let program = try RunningProgram(
          "shardrun", arguments,
          environment: ["SHARD_ISA": "reference"])
        try #require(
          RunningProgram.wait(seconds: 20) { program.output.count > 20 || !program.isRunning })
        let children = program.children
        try #require(children.count == 2, "\(program.errors)")
        kill(children[0], signal)
        try expectWhole(program, expected)
        #expect(
          RunningProgram.wait(seconds: 2) { !children.contains(where: RunningProgram.exists) })
      }
    }

    @Test func aChatGoesOn() throws {
      let models = try ChatModels.shared.get()
      let chat = models.bundles[1]
      let messages = "a fox named Mia\na stubborn owl\n"
      let options = ["--max-tokens", "60", "--json"]
      let expected = try answers(
        try shardrun(["chat", chat, "--local"] + options, input: messages).output)
      let nodes = try ServedNodes(chat, count: 2, microseconds: 3000)
      let pipe = Pipe()
      let program = try RunningProgram(
        "shardrun", ["chat", "\(chat)/nodes/node-0", "--peers", nodes.peers] + options,
        input: pipe.fileHandleForReading)
      let lines = messages.split(separator: "\n").map { "\($0)\n" }
      try pipe.fileHandleForWriting.write(contentsOf: Data(lines[0].utf8))
      try #require(
        RunningProgram.wait(seconds: 20) { program.output.hasSuffix("\n") }, "\(program.errors)")
      // Lost between two answers, when nobody looks.
      try nodes.restart(2)
      try pipe.fileHandleForWriting.write(contentsOf: Data(lines[1].utf8))
      try pipe.fileHandleForWriting.close()
      let end = try #require(program.finish(withinSeconds: 30))
      #expect(end.status == 0, "\(program.errors)")
      let found = try answers(program.output)
      #expect(found.map { $0["token_ids"] } == expected.map { $0["token_ids"] })
      #expect(found.map { $0["text"] } == expected.map { $0["text"] })
    }

    @Test func waitingEnds() throws {
      let nodes = try ServedNodes(bundle, count: 2, microseconds: 5000)
      for (options, words) in [
        (["--on-failure", "abort"], "lost node-1"),
        (["--failure-timeout", "0.5"], "node-1 did not come back within 500 ms"),
      ] {
        let program = try started(nodes, options)
        let start = Date()
        nodes.program(1).send(SIGKILL)
        let end = try #require(program.finish(withinSeconds: 10))
        #expect(end.status == 69 && program.errors.contains(words), "\(program.errors)")
        #expect(Date().timeIntervalSince(start) < 3)
        #expect(program.output.hasSuffix("\n") && expected.hasPrefix(program.output.dropLast()))
        try nodes.restart(1)
      }
      // A signal does not wait.
      let program = try started(nodes)
      nodes.program(1).send(SIGKILL)
      try #require(RunningProgram.wait(seconds: 3) { program.errors.contains("up to 60 s") })
      program.send(SIGINT)
      let end = try #require(program.finish(withinSeconds: 4))
      #expect(end.bySignal && end.status == SIGINT)
    }

    /// A coordinator that is stopped loses its nodes, which are free for others, and gets them
    /// back.
    @Test func aStoppedCoordinatorGoesOn() throws {
      let nodes = try ServedNodes(bundle, count: 2, microseconds: 5000)
      let program = try started(nodes)
      program.send(SIGSTOP)
      let other = try shardrun(
        ["generate", "\(bundle)/nodes/node-0", "--peers", nodes.peers, "--quiet"] + Self.options)
      #expect(other.output == expected)
      program.send(SIGCONT)
      try expectWhole(program)
    }
  }
}
