import Foundation
import TensorCore
import TestSupport
import Testing

extension EndToEnd {
  /// Commands that are killed at any moment leave the old state or the new one, and can be given
  /// again.
  @Suite struct Interruptions {
    /// All files below a directory, by their path in it.
    private func contents(_ root: String) throws -> [String: [UInt8]] {
      var result: [String: [UInt8]] = [:]
      for name in try Directory.names(in: root) {
        let path = "\(root)/\(name)"
        if Directory.exists(path) {
          for (inner, bytes) in try contents(path) { result["\(name)/\(inner)"] = bytes }
        } else {
          result[name] = try InputFile.contents(of: path)
        }
      }
      return result
    }

    private func run(_ arguments: [String]) throws {
      let result = try ProgramRun.run("shardtool", arguments)
      #expect(result.status == 0, "shardtool \(arguments): \(result.errors)")
    }

    /// Gives a command again and again and kills it at random moments of its running time; the
    /// target must always hold one of `states`. Then lets it finish.
    private func kill(
      _ arguments: [String], target: String, states: [[String: [UInt8]]], seed: UInt64
    ) throws {
      var generator = SeededGenerator(seed: seed)
      var duration = 0.2
      var killed = 0
      for attempt in 0..<20 {
        let begin = Date()
        let program = try RunningProgram("shardtool", arguments)
        let moment = duration * Double(generator.next() % 1000) / 1000
        _ = RunningProgram.wait(seconds: moment) { !program.isRunning }
        program.send(SIGKILL)
        let end = try #require(program.finish(withinSeconds: 20))
        if end.bySignal {
          killed += 1
        } else {
          #expect(end.status == 0, "\(program.errors)")
          duration = Date().timeIntervalSince(begin)
        }
        let found = Directory.exists(target) ? try contents(target) : [:]
        #expect(states.contains(found), "attempt \(attempt), seed \(seed)")
      }
      try run(arguments)
      #expect(try contents(target) == states.last)
      let parent = Directory.parent(of: target)
      #expect(try Directory.names(in: parent).filter { $0.hasSuffix(".partial") } == [])
      print("shardtool \(arguments[0]): killed \(killed) of 20 times, seed \(seed)")
    }

    @Test func quantizeSurvivesBeingKilled() throws {
      let directory = try TemporaryDirectory()
      let source = Places.fixture("tiny-fable")
      for bits in ["4", "8"] {
        try run(["quantize", source, "--bits", bits, "--output", directory.appending("q\(bits)")])
      }
      let four = try contents(directory.appending("q4"))
      let eight = try contents(directory.appending("q8"))
      let target = directory.appending("out")
      // First into an empty place, then in the place of an older result.
      try kill(
        ["quantize", source, "--bits", "8", "--output", target], target: target,
        states: [[:], eight], seed: 1)
      try kill(
        ["quantize", source, "--bits", "4", "--output", target], target: target,
        states: [eight, four], seed: 2)
    }

    @Test func packSurvivesBeingKilled() throws {
      let directory = try TemporaryDirectory()
      let models = try PreparedModels.shared.get()
      let quantized = models.path("q4")
      var states: [[String: [UInt8]]] = [[:]]
      for split in ["2,2,2", "1,4,1"] {
        let plan = directory.appending("\(split).json")
        try run([
          "plan", quantized, "--nodes", "3", "--ram", "8G", "--split", split, "--output", plan,
        ])
        let bundle = directory.appending(split)
        try run(["pack", quantized, "--plan", plan, "--output", bundle])
        states.append(try contents(bundle))
      }
      let target = directory.appending("out")
      for (index, split) in ["2,2,2", "1,4,1"].enumerated() {
        try kill(
          ["pack", quantized, "--plan", directory.appending("\(split).json"), "--output", target],
          target: target, states: Array(states[index...index + 1]), seed: UInt64(3 + index))
      }
    }
  }
}
