import Foundation
import ShardPackaging
import TensorCore
import TestSupport
import Testing

/// `shardtool pack` killed at random moments, and on places that cannot take a bundle.
@Suite(.serialized) struct KillTests {
  private static let tool = "\(Places.programs)/shardtool"
  private static let isBuilt = Directory.isFile(tool)

  private let place: TemporaryDirectory
  private let model = SmallModel(
    layers: 12, hidden: 256, tokenizer: SmallModel.soundTokenizer)

  init() throws {
    place = try TemporaryDirectory()
    try model.write(to: place.appending("quantized"))
    for (name, split) in [("one", [6, 6]), ("two", [2, 4, 6])] {
      let plan = try model.plan(split).json.serialized(.pretty)
      try Directory.writeAtomically(Array(plan.utf8), to: place.appending("\(name).json"))
    }
  }

  private func arguments(plan: String, to name: String) -> [String] {
    [
      "pack", place.appending("quantized"), "--plan", place.appending("\(plan).json"),
      "--output", place.appending(name), "--quiet", "--threads", "2",
    ]
  }

  /// Starts a pack and kills it after that many seconds; says whether it had ended before.
  private func kill(after seconds: Double, plan: String, to name: String) throws -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.tool)
    process.arguments = arguments(plan: plan, to: name)
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    Thread.sleep(forTimeInterval: seconds)
    let hadEnded = !process.isRunning
    if !hadEnded { Foundation.kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    return hadEnded
  }

  @Test(.enabled(if: isBuilt)) func whatAKilledPackLeavesIsNeverHalf() throws {
    var reference: [String: [String: [UInt8]]] = [:]
    var longest = 0.0
    for plan in ["one", "two"] {
      let start = Date()
      let run = try ProgramRun.run(Self.tool, arguments(plan: plan, to: "whole-\(plan)"))
      longest = max(longest, Date().timeIntervalSince(start))
      #expect(run.status == 0, "\(run.errors)")
      reference[plan] = try contents(of: place.appending("whole-\(plan)"))
    }
    var generator = SeededGenerator(seed: UInt64(Date().timeIntervalSince1970))
    var ended = 0
    var found: [String: Int] = [:]
    for trial in 0..<20 {
      // New bundles, and bundles that stand over an older one.
      let name = trial % 2 == 0 ? "new-\(trial)" : "again"
      let plan = trial % 4 < 2 ? "one" : "two"
      let delay = Double.random(in: 0...longest * 1.1, using: &generator)
      if try kill(after: delay, plan: plan, to: name) { ended += 1 }
      let path = place.appending(name)
      if Directory.exists(path) {
        let now = try contents(of: path)
        let match = reference.first { $0.value == now }?.key
        #expect(match != nil, "trial \(trial): a bundle that is neither the old nor the new one")
        found[match ?? "neither", default: 0] += 1
        _ = try VerifiedPackage.open(directory: path).verifyAll()
      } else {
        found["none", default: 0] += 1
      }
      let staging = place.appending(".\(name).partial")
      if Directory.exists(staging) {
        // Leftovers are no bundle to anyone: not whole, or whole and right.
        let left = fault { _ = try VerifiedPackage.open(directory: staging).verifyAll() }
        // What verifies has every byte of one of the bundles, if not yet every node's directory.
        let manifest = try contents(of: staging)["manifest.json"]
        let isKnown = reference.values.contains { $0["manifest.json"] == manifest }
        #expect(left != nil || isKnown)
      }
      let run = try ProgramRun.run(Self.tool, arguments(plan: plan, to: name))
      #expect(run.status == 0, "trial \(trial): \(run.errors)")
      #expect(try contents(of: path) == reference[plan])
      #expect(!Directory.exists(staging))
    }
    print(
      "killed pack 20 times within \(longest) s: \(ended) had ended; then there was \(found)")
  }

  @Test(.enabled(if: isBuilt)) func twoPacksAtOnceDoNoHarm() throws {
    let processes = try (0..<4).map { _ in
      let process = Process()
      process.executableURL = URL(fileURLWithPath: Self.tool)
      process.arguments = arguments(plan: "one", to: "shared")
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
      return process
    }
    for process in processes { process.waitUntilExit() }
    let statuses = processes.map(\.terminationStatus)
    #expect(statuses.contains(0))
    #expect(statuses.allSatisfy { $0 == 0 || $0 == ExitStatus.tryAgain.rawValue })
    _ = try VerifiedPackage.open(directory: place.appending("shared")).verifyAll()
    #expect(!Directory.exists(place.appending(".shared.partial")))
  }

  @Test(.enabled(if: isBuilt)) func placesThatCannotBeWrittenAreTold() throws {
    let blocked = place.appending("file")
    try Directory.writeAtomically([1], to: blocked)
    for name in ["file", "file/below"] {
      let run = try ProgramRun.run(Self.tool, arguments(plan: "one", to: name))
      #expect(run.status == ExitStatus.cannotCreate.rawValue, "\(run.errors)")
      #expect(run.errors.contains(blocked))
      #expect(run.errors.split(separator: "\n").count == 1)
    }
    let missing = try ProgramRun.run(
      Self.tool, ["pack", place.appending("nowhere"), "--plan", place.appending("one.json")])
    #expect(missing.status == ExitStatus.noInput.rawValue)
  }

  /// A limit on file sizes stands for a disk that fills up while a blob is written.
  @Test(.enabled(if: isBuilt)) func aFullDiskLeavesNothingBehind() throws {
    let command = arguments(plan: "one", to: "full").map { "'\($0)'" }.joined(separator: " ")
    let run = try ProgramRun.run(
      "/bin/sh", ["-c", "trap '' XFSZ; ulimit -f 64; exec '\(Self.tool)' \(command)"])
    #expect(run.status == ExitStatus.inputOutput.rawValue, "\(run.status) \(run.errors)")
    #expect(run.errors.split(separator: "\n").count == 1)
    #expect(!Directory.exists(place.appending("full")))
    #expect(!Directory.exists(place.appending(".full.partial")))
  }
}
