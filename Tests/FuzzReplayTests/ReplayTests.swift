import FuzzTargets
import TensorCore
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The corpora in `fixtures/fuzz`: every input is read or refused with a sentence, quickly and in
/// little memory.
@Suite struct ReplayTests {
  /// In a process of its own, so that a crash fails this test alone and memory can be measured.
  @Test func corporaAreReadOrRefused() async {
    let result = await #expect(
      processExitsWith: .success, observing: [\.standardErrorContent]
    ) {
      var replay = Replay()
      for target in FuzzTarget.all { try replay.run(target, mutationsPerInput: 8) }
      guard replay.complaints.isEmpty else {
        for complaint in replay.complaints { Replay.tell(complaint) }
        exit(1)
      }
    }
    if let result, result.exitStatus != .exitCode(0) {
      let lines = String(decoding: result.standardErrorContent, as: UTF8.self).split(
        separator: "\n")
      Issue.record("\(lines.suffix(12).joined(separator: "\n"))")
    }
  }

  @Test func corporaAreThereAndSmall() throws {
    var total = 0
    let folders = try Directory.names(in: Places.fixture("fuzz"))
      .filter { Directory.exists(Places.fixture("fuzz/\($0)")) }
    #expect(folders == FuzzTarget.all.map(\.name).sorted())
    for target in FuzzTarget.all {
      let inputs = try Replay.inputs(of: target)
      #expect(inputs.count >= 3, "\(target.name)")
      for (path, bytes) in inputs {
        #expect(bytes.count <= target.maximumByteCount, "\(path)")
        total += bytes.count
      }
    }
    #expect(total < 1 << 20)
  }

  /// A corpus that nothing accepts tries little.
  @Test(arguments: FuzzTarget.all.map(\.name))
  func someInputIsAccepted(name: String) throws {
    let target = try #require(FuzzTarget.named(name))
    let place = try target.makePlace()
    var codes: Set<String> = []
    var accepted = 0
    for (_, bytes) in try Replay.inputs(of: target) {
      switch target.verdict(on: bytes, in: place) {
      case .accepted: accepted += 1
      case .refused(let code): codes.insert(code)
      case .broken: break
      }
    }
    #expect(accepted > 0)
    #expect(!codes.isEmpty)
  }
}

/// What the replay takes for broken is found to be broken.
@Suite struct ReplayMeasureTests {
  private struct Unspoken: Error {}

  private struct Mumbled: Fault {
    let code = "test.mumbled"
    let message: String
    var exitStatus = ExitStatus.badData
  }

  private func verdict(_ error: any Error) throws -> FuzzTarget.Verdict {
    let target = FuzzTarget("test") { _, _ in throw error }
    return target.verdict(on: [], in: try target.makePlace())
  }

  private func isBroken(_ verdict: FuzzTarget.Verdict) -> Bool {
    if case .broken = verdict { true } else { false }
  }

  @Test func errorsWithoutSentence() throws {
    #expect(isBroken(try verdict(Unspoken())))
    #expect(isBroken(try verdict(Mumbled(message: ""))))
    #expect(isBroken(try verdict(Mumbled(message: String(repeating: "very ", count: 500)))))
    #expect(isBroken(try verdict(Mumbled(message: "a file is not sound", exitStatus: .bug))))
    #expect(
      try verdict(Mumbled(message: "the file is not sound")) == .refused(code: "test.mumbled"))
  }

  @Test func slowness() async {
    await #expect(processExitsWith: .success) {
      var replay = Replay()
      let slow = FuzzTarget("slow") { _, _ in
        let duration = Int(Replay.timeLimit) + 1
        sleep(UInt32(duration))
      }
      try replay.run(slow, inputs: [("slow/input", [])], mutationsPerInput: 0)
      guard replay.complaints.count == 1 else { exit(1) }
    }
  }

  #if os(Linux)
    @Test func greed() async {
      await #expect(processExitsWith: .failure) {
        var replay = Replay()
        let greedy = FuzzTarget("greedy") { _, place in
          let bytes = [UInt8](repeating: 1, count: Replay.memoryLimit + (16 << 20))
          _ = try place.write(Array(bytes.suffix(10)), as: "greedy")
        }
        try replay.run(greedy, inputs: [("greedy/input", [])], mutationsPerInput: 0)
        exit(0)
      }
    }
  #endif
}
