import Checkpoints
import Quantization
import ShardPreparation
import StrictJSON
import Synchronization
import TensorCore
import TensorKernels
import TestSupport
import Testing

@Suite struct QuantizerTests {
  static let source = Places.fixture("tiny-fable")

  @Test(arguments: [4, 8, 16])
  func weightsComeBackNearTheOriginal(bits: Int) throws {
    let directory = try TemporaryDirectory()
    let target = directory.appending("out")
    let recipe = try #require(Recipe.bits(bits))
    let report = try quantize(Self.source, to: target, recipe: recipe)
    let original = try Checkpoint(directory: Self.source)
    let quantized = try QuantizedCheckpoint(directory: target)
    #expect(quantized.tensors.count == original.tensorNames.count)
    #expect(quantized.tokenizerFiles == original.tokenizerFiles)
    let limits: [Int: Double] = [4: 0.07, 8: 0.007]
    let relativeLimit = limits[bits] ?? 0
    for entry in report.entries {
      let tensor = try #require(quantized.tensors[entry.name])
      let (power, error) = try difference(original, quantized, tensor)
      // Summed in another order.
      #expect(abs(entry.power - power) <= 1e-12 * power)
      #expect(abs(entry.errorPower - error) <= 1e-12 * error)
      #expect(error.squareRoot() <= relativeLimit * power.squareRoot(), "\(entry.name)")
      #expect(entry.bitsPerWeight == tensor.bitsPerWeight)
    }
    #expect(report.sourceByteCount == 5_510_016)
  }

  private func difference(
    _ original: Checkpoint, _ quantized: QuantizedCheckpoint, _ tensor: StoredTensor
  ) throws -> (power: Double, error: Double) {
    var weights = [Float](repeating: 0, count: tensor.elementCount)
    var values = weights
    var span = weights.mutableSpan
    try original.readFloats(tensor.name, rows: 0..<tensor.rows, into: &span)
    span = values.mutableSpan
    try quantized.readFloats(tensor, rows: 0..<tensor.rows, into: &span)
    var power = 0.0
    var error = 0.0
    for (weight, value) in zip(weights, values) {
      power += Double(weight) * Double(weight)
      error += (Double(weight) - Double(value)) * (Double(weight) - Double(value))
    }
    return (power, error)
  }

  @Test func bytesDoNotDependOnThreads() throws {
    let directory = try TemporaryDirectory()
    let results = try [1, 2, 5].map { threads in
      let target = directory.appending("t\(threads)")
      _ = try quantize(Self.source, to: target, threads: threads)
      return try files(in: target)
    }
    #expect(results[0] == results[1] && results[1] == results[2])
    #expect(results[0].keys.contains("model-00008-of-00008.safetensors"))
    // Nothing in the output tells where or when it was made.
    for (name, bytes) in results[0] where name.hasSuffix(".json") {
      #expect(!String(decoding: bytes, as: UTF8.self).contains(directory.path))
    }
  }

  @Test func progressReachesTheTotal() throws {
    let directory = try TemporaryDirectory()
    let largest = Mutex<[String: (completed: Int, total: Int)]>([:])
    let quantizer = try Quantizer(try Checkpoint(directory: Self.source), recipe: .bits8)
    _ = try quantizer.run(to: directory.appending("out"), pool: WorkerPool(threads: 2)) { update in
      largest.withLock {
        let completed = max($0[update.phase]?.completed ?? 0, update.completedBytes)
        $0[update.phase] = (completed, update.totalBytes)
      }
    }
    let phases = largest.withLock { $0 }
    #expect(phases.keys.sorted() == ["quantize"])
    #expect(phases.values.allSatisfy { $0.completed == $0.total })
    #expect(phases["quantize"]?.total == 5_510_016)
  }

  @Test func effortIsPartOfTheReportAndTheBytes() throws {
    let directory = try TemporaryDirectory()
    var errors: [Double] = []
    for effort in [Effort.fast, .standard, .best] {
      let target = directory.appending(effort.rawValue)
      let report = try Quantizer(
        try Checkpoint(directory: Self.source), recipe: .bits4, effort: effort
      ).run(to: target, pool: WorkerPool(threads: 2))
      #expect(report.effort == effort)
      #expect(report.json["effort"]?.string == effort.rawValue)
      errors.append(report.entries.reduce(0) { $0 + $1.errorPower })
    }
    #expect(errors == errors.sorted(by: >) && errors[0] > 1.02 * errors[1])
  }

  @Test func anOlderResultIsReplaced() throws {
    let directory = try TemporaryDirectory()
    let target = directory.appending("out")
    _ = try quantize(Self.source, to: target, recipe: .bits4)
    _ = try quantize(Self.source, to: target, recipe: .bits8)
    #expect(try QuantizedCheckpoint(directory: target).recipe == "q8")
    #expect(try Directory.names(in: directory.path) == ["out"])
    let fresh = directory.appending("fresh")
    _ = try quantize(Self.source, to: fresh, recipe: .bits8)
    #expect(try files(in: fresh) == files(in: target))
  }

  @Test func quantizedCheckpointsAreRefusedAsInput() throws {
    let directory = try TemporaryDirectory()
    let target = directory.appending("out")
    _ = try quantize(Self.source, to: target)
    #expect(
      faultCode { _ = try quantize(target, to: directory.appending("again")) }
        == "preparation.alreadyQuantized")
    #expect(faultCode { _ = try quantize(target, to: target) } == "preparation.alreadyQuantized")
  }

  @Test func foreignFilesAreLeftAlone() throws {
    let directory = try TemporaryDirectory()
    let note = Array("do not delete".utf8)
    let target = directory.appending("out")
    try Directory.create(target)
    try Directory.writeAtomically(note, to: target + "/note.txt")
    #expect(
      faultCode { _ = try quantize(Self.source, to: target) }
        == "preparation.foreignDirectory")
    // A checkpoint of the user's own is not ours either.
    #expect(
      faultCode { _ = try quantize(Self.source, to: Self.source) }
        == "preparation.foreignDirectory")
    #expect(try InputFile.contents(of: target + "/note.txt") == note)

    let used = directory.appending("used")
    _ = try quantize(Self.source, to: used)
    try Directory.writeAtomically(note, to: used + "/note.txt")
    #expect(faultCode { _ = try quantize(Self.source, to: used) } == "preparation.foreignFile")
    #expect(try Directory.names(in: directory.path) == ["out", "used"])
  }

  @Test func emptyDirectoriesAreTaken() throws {
    let directory = try TemporaryDirectory()
    let target = directory.appending("deep/er/out")
    try Directory.create(target)
    _ = try quantize(Self.source, to: target + "/")
    #expect(try QuantizedCheckpoint(directory: target).recipe == "q4")
  }
}
