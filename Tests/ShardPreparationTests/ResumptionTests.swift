import Checkpoints
import Quantization
import ShardPreparation
import StrictJSON
import Synchronization
import TensorCore
import TensorKernels
import TestSupport
import Testing

/// A command that was killed leaves a staging directory; the next one goes on from there.
///
/// The state a killed command leaves is taken as a copy of the staging directory in the middle of
/// a run. (EndToEndTests kills real processes.)
@Suite struct ResumptionTests {
  static let source = Places.fixture("tiny-fable")

  /// Copies the staging directory of a run to that of `target` once `share` of the work is done.
  private func interrupt(
    at share: Double, in directory: TemporaryDirectory, target: String,
    recipe: Recipe = .bits4
  ) throws {
    let from = directory.appending(".first.partial")
    let to = directory.appending(".\(target).partial")
    let isCopied = Mutex(false)
    let quantizer = try Quantizer(try Checkpoint(directory: Self.source), recipe: recipe)
    _ = try quantizer.run(to: directory.appending("first"), pool: WorkerPool(threads: 1)) {
      guard Double($0.completedBytes) >= share * Double($0.totalBytes),
        isCopied.withLock({ done in
          defer { done = true }
          return !done
        })
      else { return }
      copyFiles(from, to)
    }
    #expect(Directory.exists(to))
  }

  /// Quantizes and counts the updates of progress: a kept file gives one, a new one several.
  private func updates(
    _ directory: TemporaryDirectory, target: String, recipe: Recipe = .bits4
  ) throws -> Int {
    let count = Mutex(0)
    let quantizer = try Quantizer(try Checkpoint(directory: Self.source), recipe: recipe)
    _ = try quantizer.run(to: directory.appending(target), pool: WorkerPool(threads: 2)) { _ in
      count.withLock { $0 += 1 }
    }
    return count.withLock { $0 }
  }

  private func expectSameBytes(_ directory: TemporaryDirectory, _ target: String) throws {
    #expect(
      try files(in: directory.appending(target)) == files(in: directory.appending("first")))
    #expect(!Directory.exists(directory.appending(".\(target).partial")))
  }

  @Test(arguments: [0.01, 0.2, 0.45, 0.7, 0.99])
  func aRerunGivesTheSameBytes(share: Double) throws {
    let directory = try TemporaryDirectory()
    try interrupt(at: share, in: directory, target: "second")
    let resumed = try updates(directory, target: "second")
    try expectSameBytes(directory, "second")
    let fresh = try updates(directory, target: "third")
    if share > 0.3 { #expect(resumed < fresh, "nothing was kept") }
  }

  @Test func damagedFilesAreMadeAgain() throws {
    let directory = try TemporaryDirectory()
    try interrupt(at: 0.9, in: directory, target: "second")
    let staging = directory.appending(".second.partial")
    for name in try Directory.names(in: staging) where name.hasSuffix("of-00008.safetensors") {
      var bytes = try InputFile.contents(of: "\(staging)/\(name)")
      bytes[bytes.count / 2] ^= 4
      try Directory.writeAtomically(bytes, to: "\(staging)/\(name)")
    }
    _ = try updates(directory, target: "second")
    try expectSameBytes(directory, "second")
  }

  @Test func otherOptionsStartAnew() throws {
    let directory = try TemporaryDirectory()
    try interrupt(at: 0.9, in: directory, target: "second", recipe: .bits8)
    try quantize(Self.source, to: directory.appending("first"), recipe: .bits4)
    _ = try updates(directory, target: "second")
    try expectSameBytes(directory, "second")
  }

  @Test(arguments: ["", "{", "[]", #"{"fingerprint":1}"#, #"{"fingerprint":"x","files":{}}"#])
  func unreadableRecordsStartAnew(record: String) throws {
    let directory = try TemporaryDirectory()
    try interrupt(at: 0.5, in: directory, target: "second")
    try Directory.writeAtomically(
      Array(record.utf8), to: directory.appending(".second.partial/progress.json"))
    _ = try updates(directory, target: "second")
    try expectSameBytes(directory, "second")
  }

  @Test func foreignFilesInTheStagingDirectoryAreLeftAlone() throws {
    let directory = try TemporaryDirectory()
    let note = directory.appending(".second.partial/note.txt")
    try Directory.create(directory.appending(".second.partial"))
    try Directory.writeAtomically([1], to: note)
    #expect(
      faultCode { try quantize(Self.source, to: directory.appending("second")) }
        == "preparation.foreignFile")
    #expect(try InputFile.contents(of: note) == [1])
  }

  @Test func twoCommandsDoNotWriteTheSamePlace() throws {
    let directory = try TemporaryDirectory()
    let second = Mutex("none")
    let quantizer = try Quantizer(try Checkpoint(directory: Self.source), recipe: .bits4)
    _ = try quantizer.run(to: directory.appending("out"), pool: WorkerPool(threads: 1)) { _ in
      second.withLock { code in
        guard code == "none" else { return }
        code = faultCode { try quantize(Self.source, to: directory.appending("out")) }
      }
    }
    #expect(second.withLock { $0 } == "preparation.busy")
    #expect(try QuantizedCheckpoint(directory: directory.appending("out")).tensors.count == 57)
  }
}
