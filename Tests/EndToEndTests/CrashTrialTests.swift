import Foundation
import TensorCore
import TestSupport
import Testing

/// Commands that are killed, or that meet a full disk, at random moments: what stands there is the
/// old state or the new one, nothing half is accepted, and the command given again completes.
///
/// A few trials of each by default; SHARD_TRIALS says how many (`make crash-trials`: 20).
extension EndToEnd {
  @Suite struct CrashTrials {
    private static let trials =
      ProcessInfo.processInfo.environment["SHARD_TRIALS"].flatMap { Int($0) } ?? 4
    /// Small file systems can be made by root on Linux only.
    /// A command may end before it is killed, or with what room there is; then another follows.
    private static let mostTrials = 8 * trials

    private let place: TemporaryDirectory
    private let models: PreparedModels
    private let seed = UInt64(Date().timeIntervalSince1970 * 1000)

    init() throws {
      place = try TemporaryDirectory()
      models = try PreparedModels.shared.get()
    }

    private func run(_ arguments: [String]) throws {
      let run = try ProgramRun.run("shardtool", arguments + ["--quiet"])
      try #require(run.status == 0, "shardtool \(arguments): \(run.errors)")
    }

    /// Two plans of the same model, packed: what pack must make of each.
    private func bundles() throws -> [(plan: String, bundle: String)] {
      try ["2,2,2", "1,4,1"].map { split in
        let plan = place.appending("\(split).json")
        let bundle = place.appending("whole-\(split)")
        try run([
          "plan", models.path("q4"), "--nodes", "3", "--ram", "8G", "--split", split, "--output",
          plan,
        ])
        try run(["pack", models.path("q4"), "--plan", plan, "--output", bundle])
        return (plan, bundle)
      }
    }

    /// What a target may hold, and the command that brings it from one state to the next.
    private struct Subject {
      let target: String
      let arguments: [String]
      let states: [[String: [UInt8]]]
      var options: [String] = []
    }

    private func check(_ subject: Subject, _ trial: String) throws {
      guard Directory.exists(subject.target) else {
        #expect(subject.states.contains([:]), "\(trial): the old state is gone")
        return
      }
      let found = try tree(subject.target)
      #expect(subject.states.contains(found), "\(trial), seed \(seed): neither old nor new")
      if !found.isEmpty {
        let verified = try ProgramRun.run("shardtool", ["verify", subject.target])
        #expect(verified.status == 0, "\(trial): \(verified.errors)")
      }
      let parent = Directory.parent(of: subject.target)
      for name in try Directory.names(in: parent) where name.hasSuffix(".partial") {
        // What is left over is never taken for something whole that it is not.
        let verified = try ProgramRun.run("shardtool", ["verify", "\(parent)/\(name)"])
        let left = try tree("\(parent)/\(name)")
        let isWhole = subject.states.contains { state in
          state.allSatisfy { left[$0.key] == $0.value || $0.key.hasPrefix("nodes/") }
        }
        #expect(verified.status != 0 || isWhole, "\(trial): \(name) is accepted")
      }
    }

    /// Kills a command at random moments; then lets it finish.
    private func kill(
      _ name: String, _ prepare: (Int) throws -> Subject
    ) throws {
      var generator = SeededGenerator(seed: seed)
      var duration = 0.1
      var killed = 0
      var trial = -1
      while killed < Self.trials, trial < Self.mostTrials {
        trial += 1
        let subject = try prepare(trial)
        let program = try RunningProgram("shardtool", subject.arguments)
        let moment = duration * Double(generator.next() % 1000) / 1000
        _ = RunningProgram.wait(seconds: moment) { !program.isRunning }
        program.send(SIGKILL)
        let end = try #require(program.finish(withinSeconds: 20))
        if end.bySignal {
          killed += 1
        } else {
          #expect(end.status == 0, "\(name) \(trial): \(program.errors)")
        }
        // A receiver over ssh, which may have all it needs, lives a little longer than its sender.
        _ = RunningProgram.wait(seconds: 20) {
          !RunningProgram.isRunning(with: ["receive", subject.target])
        }
        try check(subject, "\(name) \(trial)")
        let begin = Date()
        var again = try ProgramRun.run("shardtool", subject.arguments)
        duration = max(duration, Date().timeIntervalSince(begin))
        for _ in 0..<40 where again.status == 75 {
          usleep(250_000)
          again = try ProgramRun.run("shardtool", subject.arguments)
        }
        #expect(again.status == 0, "\(name) \(trial): \(again.errors)")
        #expect(try tree(subject.target) == subject.states.last, "\(name) \(trial), seed \(seed)")
        let parent = Directory.parent(of: subject.target)
        let left = try Directory.names(in: parent).filter { $0.hasSuffix(".partial") }
        #expect(left.isEmpty, "\(name) \(trial): \(left)")
      }
      print("shardtool \(name): killed \(killed) of \(trial + 1) times, seed \(seed)")
    }

    @Test func packIsKilled() throws {
      let bundles = try bundles()
      let states = try bundles.map { try tree($0.bundle) }
      try kill("pack") { trial in
        // Into a new place, and in the place of the other bundle.
        let isNew = trial % 2 == 0
        let new = trial / 2 % 2
        let target = place.appending("killed-pack-\(isNew ? "\(trial)" : "over")")
        if !isNew {
          try run([
            "pack", models.path("q4"), "--plan", bundles[1 - new].plan, "--output", target,
          ])
        }
        return Subject(
          target: target,
          arguments: ["pack", models.path("q4"), "--plan", bundles[new].plan, "--output", target],
          states: [isNew ? [:] : states[1 - new], states[new]])
      }
    }

    @Test func shipIsKilled() throws {
      let shell = LoopbackShell.isHere ? try LoopbackShell() : nil
      let bundles = try bundles()
      let states = try bundles.map { try tree("\($0.bundle)/nodes/node-1") }
      try kill("ship") { trial in
        let isNew = trial % 2 == 0
        let new = trial / 2 % 2
        let target = place.appending("killed-ship-\(isNew ? "\(trial)" : "over")")
        if !isNew {
          try run(["ship", bundles[1 - new].bundle, "--node", "node-1", target])
        }
        var words = ["ship", bundles[new].bundle, "--node", "node-1"]
        if let shell, trial % 4 > 1 {
          words += ["\(shell.destination):\(target)"] + shell.options()
        } else {
          words += [target]
        }
        return Subject(
          target: target, arguments: words,
          states: [isNew ? [:] : states[1 - new], states[new]])
      }
    }

    /// Leaves in and beside a bundle what gc is there for.
    private func litter(_ bundle: String) throws {
      for index in 0..<40 {
        let name = String(repeating: "0", count: 60) + String(1000 + index)
        for directory in [bundle, "\(bundle)/nodes/node-1"] {
          let path = "\(directory)/blobs/sha256/\(name)"
          try Directory.writeAtomically([UInt8](repeating: 7, count: 1000), to: path)
        }
      }
      let parent = Directory.parent(of: bundle)
      let staging = "\(parent)/.\(Directory.name(of: bundle)).partial/blobs/sha256"
      try Directory.create(staging)
      for index in 0..<40 {
        try Directory.writeAtomically([1, 2, 3], to: "\(staging)/\(index).partial")
      }
    }

    @Test func gcIsKilled() throws {
      let bundle = try bundles()[0].bundle
      let clean = try tree(bundle)
      var generator = SeededGenerator(seed: seed)
      var killed = 0
      var duration = 0.02
      var trial = -1
      while killed < Self.trials, trial < Self.mostTrials {
        trial += 1
        let store = place.appending("swept-\(trial)")
        try Directory.create(store)
        let target = "\(store)/bundle"
        try FileManager.default.copyItem(atPath: bundle, toPath: target)
        try litter(target)
        let program = try RunningProgram("shardtool", ["gc", store])
        let moment = duration * Double(generator.next() % 1000) / 1000
        _ = RunningProgram.wait(seconds: moment) { !program.isRunning }
        program.send(SIGKILL)
        if try #require(program.finish(withinSeconds: 20)).bySignal { killed += 1 }
        let left = try tree(target)
        #expect(clean.allSatisfy { left[$0.key] == $0.value }, "trial \(trial), seed \(seed)")
        let verified = try ProgramRun.run("shardtool", ["verify", target])
        #expect(verified.status == 0, "\(verified.errors)")
        let begin = Date()
        try run(["gc", store])
        duration = max(duration, Date().timeIntervalSince(begin))
        #expect(try tree(target) == clean)
        #expect(try Directory.names(in: store) == ["bundle"])
      }
      print("shardtool gc: killed \(killed) of \(trial + 1) times, seed \(seed)")
    }

    /// Runs commands on a disk with less and less room, until it has enough.
    private func fill(
      _ name: String, older: (String) throws -> Void, _ arguments: (String) -> [String],
      new: [String: [UInt8]], disk kibibytes: Int
    ) throws {
      var generator = SeededGenerator(seed: seed)
      let need = new.reduce(0) { $0 + ($1.key.hasPrefix("nodes/") ? 0 : $1.value.count) }
      var full = 0
      var duration = 0.05
      var trial = -1
      while full < Self.trials, trial < Self.mostTrials {
        trial += 1
        let disk = try SmallDisk(at: place.appending("disk-\(name)-\(trial)"), kibibytes: kibibytes)
        let target = disk.path + "/target"
        var states: [[String: [UInt8]]] = [[:], new]
        if trial % 2 == 1 {
          try older(target)
          states = [try tree(target), new]
        }
        // Too little room from the beginning, or none from some moment on.
        let share = Double(generator.next() % 1000) / 1000
        let run =
          trial % 4 < 2
          ? try runOnFullDisk(disk, leaving: Int(share * Double(need)), arguments(target))
          : try run(arguments(target), filling: disk, after: share * duration)
        if run.status != 0 {
          full += 1
          #expect(run.status == 74, "\(name) \(trial): \(run.status) \(run.errors)")
          #expect(run.errors.split(separator: "\n").count == 1, "\(run.errors)")
          #expect(run.errors.contains("free some space"), "\(run.errors)")
        }
        try check(
          Subject(target: target, arguments: arguments(target), states: states),
          "\(name) \(trial)")
        try disk.clearFilling()
        let begin = Date()
        let again = try ProgramRun.run("shardtool", arguments(target))
        duration = max(duration, Date().timeIntervalSince(begin))
        #expect(again.status == 0, "\(name) \(trial): \(again.errors)")
        #expect(try tree(target) == new)
        let left = try Directory.names(in: disk.path).filter { $0.hasSuffix(".partial") }
        #expect(left.isEmpty, "\(name) \(trial): \(left)")
      }
      #expect(full > 0)
      print("shardtool \(name): \(full) of \(trial + 1) runs found the disk full, seed \(seed)")
    }

    private func runOnFullDisk(
      _ disk: SmallDisk, leaving byteCount: Int, _ arguments: [String]
    ) throws -> (status: Int32, errors: String) {
      try disk.fill(leaving: byteCount)
      let run = try ProgramRun.run("shardtool", arguments)
      return (run.status, run.errors)
    }

    private func run(
      _ arguments: [String], filling disk: SmallDisk, after seconds: Double
    ) throws -> (status: Int32, errors: String) {
      let program = try RunningProgram("shardtool", arguments)
      _ = RunningProgram.wait(seconds: seconds) { !program.isRunning }
      try disk.fill(leaving: 0)
      let end = try #require(program.finish(withinSeconds: 60))
      return (end.status, program.errors)
    }

    @Test(.enabled(if: SmallDisk.canBeMade, SmallDisk.reasonToSkip)) func packMeetsAFullDisk()
      throws
    {
      let bundles = try bundles()
      // The older bundle has other weights, so that all are written anew.
      let plan = place.appending("16.json")
      try run([
        "plan", models.path("q16"), "--nodes", "1", "--ram", "8G", "--output", plan,
      ])
      try fill(
        "pack",
        older: { try run(["pack", models.path("q16"), "--plan", plan, "--output", $0]) },
        { ["pack", models.path("q4"), "--plan", bundles[0].plan, "--output", $0] },
        new: try tree(bundles[0].bundle), disk: 10 << 10)
    }

    @Test(.enabled(if: SmallDisk.canBeMade, SmallDisk.reasonToSkip)) func shipMeetsAFullDisk()
      throws
    {
      let bundles = try bundles()
      try fill(
        "ship",
        older: { target in
          try run(["ship", bundles[1].bundle, "--node", "node-2", target])
        },
        { ["ship", bundles[0].bundle, "--node", "node-1", $0] },
        new: try tree("\(bundles[0].bundle)/nodes/node-1"), disk: 2 << 10)
    }

    @Test(.enabled(if: SmallDisk.canBeMade, SmallDisk.reasonToSkip)) func gcWorksOnAFullDisk()
      throws
    {
      let bundle = try bundles()[0].bundle
      for trial in 0..<Self.trials {
        let disk = try SmallDisk(at: place.appending("disk-gc-\(trial)"), kibibytes: 8 << 10)
        let target = disk.path + "/target"
        try run([
          "pack", models.path("q4"), "--plan", place.appending("2,2,2.json"), "--output", target,
        ])
        try litter(target)
        try disk.fill(leaving: 0)
        let run = try ProgramRun.run("shardtool", ["gc", disk.path])
        #expect(run.status == 0, "\(run.errors)")
        #expect(try tree(target) == tree(bundle))
        #expect(try disk.freeBytes() > 40_000)
        let verified = try ProgramRun.run("shardtool", ["verify", target])
        #expect(verified.status == 0, "\(verified.errors)")
      }
    }
  }
}
