import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// A terminal without a screen: what is typed, and the end that a program reads.
private final class Terminal {
  let keyboard: FileHandle
  let input: FileHandle

  init() throws {
    var leader: Int32 = -1
    var follower: Int32 = -1
    let result = unsafe openpty(&leader, &follower, nil, nil, nil)
    try #require(result == 0)
    keyboard = FileHandle(fileDescriptor: leader, closeOnDealloc: true)
    input = FileHandle(fileDescriptor: follower, closeOnDealloc: true)
  }

  func type(_ text: String) throws { try type(bytes: Array(text.utf8)) }

  func type(bytes: [UInt8]) throws { try keyboard.write(contentsOf: Data(bytes)) }
}

extension EndToEnd {
  /// `shardrun chat` while somebody looks on.
  @Suite struct ChatSessions {
    /// Makes answers slow enough to be interrupted.
    private static let slowly = ["SHARD_ISA": "reference"]

    private func wait(for text: String, in program: RunningProgram) throws {
      try #require(
        RunningProgram.wait(seconds: 20) { program.errors.contains(text) || !program.isRunning },
        "\(program.errors)")
      #expect(program.errors.contains(text))
    }

    @Test func controlCStopsTheAnswerAndKeepsTheChat() throws {
      for bundle in try ChatModels.shared.get().bundles {
        let pipe = Pipe()
        let program = try RunningProgram(
          "shardrun", ["chat", bundle], environment: Self.slowly,
          input: pipe.fileHandleForReading)
        let keyboard = pipe.fileHandleForWriting
        try keyboard.write(contentsOf: Data("a fox named Mia\n".utf8))
        try wait(for: "ended by stop", in: program)
        let first = program.output.count
        try keyboard.write(contentsOf: Data("a stubborn owl\n".utf8))
        try #require(RunningProgram.wait(seconds: 20) { program.output.count > first + 10 })
        program.send(SIGINT)
        try wait(for: "ended by interrupted", in: program)
        #expect(program.output.hasSuffix("\n") && program.output.count < 2 * first)
        try keyboard.write(contentsOf: Data("a deer\n".utf8))
        try keyboard.close()
        let end = try #require(program.finish(withinSeconds: 30))
        #expect(end.status == 0 && !end.bySignal, "\(program.errors)")
        #expect(program.errors.components(separatedBy: "ended by stop").count == 3)
        #expect(program.errors.components(separatedBy: "of them kept").count == 3)
      }
    }

    @Test func controlCWhileNothingIsAnsweredEndsAPipedChat() throws {
      let pipe = Pipe()
      let program = try RunningProgram(
        "shardrun", ["chat", try ChatModels.shared.get().bundles[1], "--max-tokens", "5"],
        input: pipe.fileHandleForReading)
      try pipe.fileHandleForWriting.write(contentsOf: Data("a fox\n".utf8))
      try wait(for: "ended by length", in: program)
      let children = program.children
      #expect(children.count == 2)
      program.send(SIGINT)
      let end = try #require(program.finish(withinSeconds: 5))
      #expect(end.bySignal && end.status == SIGINT)
      #expect(RunningProgram.wait(seconds: 5) { !children.contains(where: RunningProgram.exists) })
    }

    @Test func aTerminalChatGoesOnAfterErrors() throws {
      let terminal = try Terminal()
      let program = try RunningProgram(
        "shardrun", ["chat", try ChatModels.shared.get().bundles[0], "--max-tokens", "9"],
        input: terminal.input)
      try wait(for: "> ", in: program)
      try terminal.type("/nonsense\n")
      try wait(for: "there is no command /nonsense", in: program)
      try terminal.type(String(repeating: "very ", count: 700) + "\n")
      try wait(for: "error: this message alone comes to", in: program)
      try terminal.type(bytes: [0x61, 0xFF, 0x0A])
      try wait(for: "error: line 3 of standard input is not UTF-8 text", in: program)
      program.send(SIGINT)
      try wait(for: "/exit or Ctrl-D ends the chat", in: program)
      try terminal.type("a fox\n")
      try wait(for: "ended by length", in: program)
      // Ctrl-D
      try terminal.type("\u{4}")
      let end = try #require(program.finish(withinSeconds: 5))
      #expect(end.status == 0 && !end.bySignal, "\(program.errors)")
      #expect(program.output.hasSuffix("\n"))
    }
  }
}
