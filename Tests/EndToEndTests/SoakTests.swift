import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

extension EndToEnd {
  /// Random requests, cancels and reconnects, for as long as SHARD_SOAK says in minutes
  /// (`make soak MINUTES=30`); a few seconds by default. Every token must be right, and no
  /// process that lives through it may grow.
  @Suite struct Soak {
    private static let minutes =
      ProcessInfo.processInfo.environment["SHARD_SOAK"].flatMap { Double($0) } ?? 0.15
    /// What allocators may take beside what is needed.
    private static let slack = 16 << 20

    private struct Prompt {
      let text: String
      let options: [String]
      let output: String
      let line: JSONValue
    }

    private let bundle: String
    private let prompts: [Prompt]
    private let directory: TemporaryDirectory

    init() throws {
      let models = try ChatModels.shared.get()
      directory = try TemporaryDirectory()
      // Room for three sequences, and a chat template.
      bundle = try ChatModels.pack(
        models.directory.appending("checkpoint"), nodes: 3, to: directory.appending("bundle"),
        planning: ["--sequences", "3"])
      prompts = try [
        ("Once upon a time", 60, "0"), ("The fox", 60, "0"), ("One day, a small bird", 60, "0"),
        ("Mia and Sam", 25, "0.9"), ("In the old forest", 25, "0.9"), ("A bear", 25, "0.9"),
        ("Max", 90, "1.3"),
      ].map { [bundle] text, count, temperature in
        let options = [
          "--max-tokens", "\(count)", "--temperature", temperature, "--seed", "4", "--ignore-eos",
          "--threads", "1",
        ]
        let run = try shardrun(
          ["generate", bundle, "--local", "--prompt", text, "--json"] + options)
        let json = try JSONParsing().parse(run.output)
        return Prompt(
          text: text, options: options, output: (json["text"]?.string ?? "") + "\n", line: json)
      }
    }

    fileprivate struct Counts {
      var requests = 0
      var cancels = 0
      var losses = 0
      var strangers = 0
      var turns = 0
      var wrong = 0
    }

    @Test func nothingGrowsAndNoTokenIsWrong() throws {
      let seed = UInt64(Date().timeIntervalSince1970 * 1000)
      var random = SeededGenerator(seed: seed)
      let nodes = try ServedNodes(bundle, count: 2)
      var counts = Counts()
      // A chat that lives as long as all of this, whose own nodes come and go.
      let chat = try LastingChat(bundle)
      let deadline = Date().addingTimeInterval(Self.minutes * 60)
      // What is allocated once has been by then.
      let warm = Date().addingTimeInterval(min(60, Self.minutes * 60 / 3))
      var before: [ProcessUse]?
      var peak = 0
      while Date() < deadline {
        try step(nodes, &random, &counts)
        try chat.turn(&random, &counts)
        let uses = try idle(nodes, chat)
        if before == nil, Date() > warm { before = uses }
        peak = max(peak, uses.map(\.residentBytes).max() ?? 0)
        if let before { compare(uses, before, "seed \(seed), \(counts)") }
      }
      let first = try #require(before)
      let last = try idle(nodes, chat)
      compare(last, first, "seed \(seed), at the end")
      #expect(counts.wrong == 0, "seed \(seed), \(counts)")
      #expect(counts.requests > 0 && counts.turns > 0)
      print("\(counts) in \(Self.minutes) minutes")
      for (name, (from, to)) in zip(["node-1", "node-2", "chat"], zip(first, last)) {
        print(
          "\(name): \(Quantity.describe(bytes: from.residentBytes)) before, "
            + "\(Quantity.describe(bytes: to.residentBytes)) after, \(to.descriptors) descriptors, "
            + "\(to.threads) threads")
      }
      try chat.finish()
    }

    private func compare(_ uses: [ProcessUse], _ before: [ProcessUse], _ what: String) {
      for (use, first) in zip(uses, before) {
        #expect(use.residentBytes <= first.residentBytes + Self.slack, "\(what)")
        #expect(use.descriptors <= first.descriptors + 2, "\(what)")
        #expect(use.threads <= first.threads + 2, "\(what)")
      }
    }

    /// What the lasting processes take once no run is under way.
    private func idle(_ nodes: ServedNodes, _ chat: LastingChat) throws -> [ProcessUse] {
      var uses: [ProcessUse] = []
      for node in [1, 2] { uses.append(try #require(nodes.idleUse(node))) }
      uses.append(try #require(ProcessUse(chat.identifier), "the chat has ended"))
      return uses
    }

    /// One request, whole or cancelled, or a stranger's connection.
    private func step(
      _ nodes: ServedNodes, _ random: inout SeededGenerator, _ counts: inout Counts
    ) throws {
      let prompt = prompts[Int.random(in: 0..<prompts.count, using: &random)]
      let place = ["\(bundle)/nodes/node-0", "--peers", nodes.peers]
      switch Int.random(in: 0..<10, using: &random) {
      case 0...3:
        let run = try shardrun(
          ["generate"] + place + ["--prompt", prompt.text, "--quiet"] + prompt.options)
        counts.requests += 1
        if run.output != prompt.output { counts.wrong += 1 }
      case 4, 5:
        try lines(place, &random, &counts)
      case 6...8:
        let run = try RunningProgram(
          "shardrun",
          ["generate"] + place + ["--prompt", prompt.text] + prompt.options)
        usleep(UInt32.random(in: 0...400_000, using: &random))
        run.send([SIGINT, SIGTERM, SIGKILL].randomElement(using: &random) ?? SIGKILL)
        _ = try #require(run.finish(withinSeconds: 10), "a hang: \(run.errors)")
        counts.cancels += 1
        let text = run.output.hasSuffix("\n") ? String(run.output.dropLast()) : run.output
        if !prompt.output.hasPrefix(text) { counts.wrong += 1 }
      default:
        for node in [1, 2] { Stranger.bother(nodes.relay(node).port, &random) }
        counts.strangers += 2
      }
    }

    /// Several prompts at once, each of which must have what it has alone.
    private func lines(
      _ place: [String], _ random: inout SeededGenerator, _ counts: inout Counts
    ) throws {
      let options = prompts[Int.random(in: 0..<prompts.count, using: &random)].options
      let same = prompts.filter { $0.options == options }
      let chosen = (0..<5).compactMap { _ in same.randomElement(using: &random) }
      let file = directory.appending("lines.txt")
      let text = chosen.map { $0.text + "\n" }.joined()
      try Directory.writeAtomically(Array(text.utf8), to: file)
      let run = try shardrun(
        ["generate"] + place + ["--prompt-file", file, "--lines", "--json", "--quiet"] + options)
      counts.requests += chosen.count
      for (found, prompt) in zip(try answers(run.output), chosen)
      where found["token_ids"] != prompt.line["token_ids"] {
        counts.wrong += 1
      }
    }
  }
}

/// A chat program that is asked again and again while its nodes come and go.
private final class LastingChat {
  private let nodes: ServedNodes
  private let program: RunningProgram
  private let input = Pipe()
  private var answered = 0
  private static let questions = ["a fox named Mia", "a stubborn owl", "two bears"]
  /// The tokens of a first answer, by question.
  private let expected: [JSONValue?]

  var identifier: Int32 { program.identifier }

  init(_ bundle: String) throws {
    let options = ["--max-tokens", "30", "--json", "--threads", "1"]
    let text = Self.questions.joined(separator: "\n/reset\n") + "\n"
    expected = try answers(
      try shardrun(["chat", bundle, "--local"] + options, input: text).output
    ).map { $0["token_ids"] }
    nodes = try ServedNodes(bundle, count: 2)
    program = try RunningProgram(
      "shardrun", ["chat", "\(bundle)/nodes/node-0", "--peers", nodes.peers] + options,
      input: input.fileHandleForReading)
  }

  /// A new chat of one or two questions; now and then a node is lost before or meanwhile.
  func turn(_ random: inout SeededGenerator, _ counts: inout EndToEnd.Soak.Counts) throws {
    let index = Int.random(in: 0..<Self.questions.count, using: &random)
    let isLost = Int.random(in: 0..<4, using: &random) == 0
    let node = Int.random(in: 1...2, using: &random)
    try input.fileHandleForWriting.write(
      contentsOf: Data("/reset\n\(Self.questions[index])\n".utf8))
    if isLost {
      usleep(UInt32.random(in: 0...30_000, using: &random))
      try nodes.restart(node)
      counts.losses += 1
    }
    answered += 1
    let hasAnswered = RunningProgram.wait(seconds: 30) {
      !program.isRunning || program.output.count { $0 == "\n" } >= answered
    }
    try #require(hasAnswered && program.isRunning, "\(program.errors)")
    counts.turns += 1
    let line = program.output.split(separator: "\n")[answered - 1]
    if try JSONParsing().parse(Array(line.utf8))["token_ids"] != expected[index] {
      counts.wrong += 1
    }
  }

  func finish() throws {
    try input.fileHandleForWriting.close()
    let end = try #require(program.finish(withinSeconds: 10))
    #expect(end.status == 0, "\(program.errors)")
  }
}

/// Somebody who connects without meaning it.
private enum Stranger {
  static func bother(_ port: Int, _ random: inout SeededGenerator) {
    let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in
      UInt8.random(in: 0...255, using: &random)
    }
    // A shell can connect too, and is nobody's node.
    let text = bytes.map { "\\0" + String($0, radix: 8) }.joined()
    _ = try? ProgramRun.run(
      "/bin/bash", ["-c", "printf '%b' '\(text)' > /dev/tcp/127.0.0.1/\(port)"])
  }
}
