import Checkpoints
import ModelArchitectures
import Quantization
import ShardPreparation
import Synchronization
import TensorCore
import TensorKernels
import TestSupport
import Testing

@Suite struct CalibrationTests {
  private static let source = Places.fixture("tiny-fable")
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func ids(_ range: Range<Int>) throws -> [Int32] {
    let all = try TokenFile.read(Self.source + "/eval_ids.safetensors")
    return Array(all[range.clamped(to: all.indices)])
  }

  private func text(_ ids: [Int32], of source: String = Self.source) throws -> CalibrationText {
    let configuration = try Checkpoint(directory: source).configuration
    return try CalibrationText(
      ids, bos: 1,
      dimensions: try ArchitectureRegistry.architecture(for: configuration).dimensions)
  }

  @discardableResult
  private func quantize(
    to name: String, _ text: CalibrationText?, source: String = Self.source, threads: Int = 2,
    progress: ProgressHandler? = nil
  ) throws -> QuantizeReport {
    try Quantizer(
      try Checkpoint(directory: source), recipe: try Recipe.uniform("q4"), calibration: text
    ).run(
      to: directory.appending(name), pool: WorkerPool(threads: threads), progress: progress)
  }

  private func divergence(_ name: String, _ ids: [Int32]) throws -> Double {
    var options = Evaluator.Options(context: 256)
    options.weightsOnly = true
    return try Evaluator(tested: directory.appending(name), against: Self.source).run(
      ids, bos: 1, options: options, compute: try ComputeContext(threads: 2)
    ).divergence.value
  }

  /// Calibration text and evaluation text are different parts.
  @Test func outputsComeNearerToTheOriginals() throws {
    let text = try text(try ids(4000..<8000))
    let report = try quantize(to: "calibrated", text)
    try quantize(to: "plain", nil)
    let evaluation = try ids(0..<3000)
    let plain = try divergence("plain", evaluation)
    let calibrated = try divergence("calibrated", evaluation)
    #expect(calibrated < 0.8 * plain, "\(calibrated) and \(plain)")
    let gains = report.entries.compactMap(\.calibration)
    #expect(gains.count == 43)
    for gain in gains {
      #expect(gain.errors.count == 3 && gain.error == gain.errors.values.min())
    }
    #expect(gains.contains { $0.method == .errorFeedback })
    let before = gains.reduce(0) { $0 + $1.dataFreeError }
    #expect(gains.reduce(0) { $0 + $1.error } < 0.95 * before)
    let json = report.json["tensors"]?.array?.compactMap { $0["calibration"]?["method"]?.string }
    #expect(json?.count == 43)
  }

  @Test func bytesDoNotDependOnThreadsOrInterruption() throws {
    let text = try text(try ids(0..<1500))
    try quantize(to: "first", text, threads: 1)
    let expected = try files(in: directory.appending("first"))
    // What a kill in the middle would leave.
    let isCopied = Mutex(false)
    let from = directory.appending(".second.partial")
    let to = directory.appending(".third.partial")
    try quantize(to: "second", text, threads: 3) { update in
      guard 2 * update.completedBytes > update.totalBytes,
        isCopied.withLock({ done in
          defer { done = true }
          return !done
        })
      else { return }
      copyFiles(from, to)
    }
    #expect(try files(in: directory.appending("second")) == expected)
    #expect(Directory.exists(to))
    try quantize(to: "third", text)
    #expect(try files(in: directory.appending("third")) == expected)
  }

  @Test func activationsOfZeroAreAnError() throws {
    var small = SmallCheckpoint()
    small.tensors["model.embed_tokens.weight"]?.values = [Float](repeating: 0, count: 40 * 32)
    let source = directory.appending("model")
    try small.write(to: source)
    let text = try text((0..<200).map { Int32($0 % 40) }, of: source)
    #expect(
      faultCode { try quantize(to: "out", text, source: source) } == "quantization.noActivations")
    #expect(try Directory.names(in: directory.path) == ["model"])
  }

  @Test func textsThatAreTooShortAreRefused() throws {
    #expect(faultCode { _ = try text(try ids(0..<200)) } == "preparation.shortCalibration")
    #expect(faultCode { _ = try text([]) } == "preparation.noTokens")
    #expect(faultCode { _ = try text([9000]) } == "preparation.tokenOutOfRange")
  }

  @Test func allocationKeepsWithinItsBudget() throws {
    let checkpoint = try Checkpoint(directory: Self.source)
    let text = try text(try ids(0..<1000))
    for calibration in [nil, text] {
      var counts: [Int] = []
      for target in [4.9, 6.0] {
        let allocation = try SchemeAllocation(
          checkpoint, bitsPerWeight: target, effort: .fast, calibration: calibration, threads: 2)
        #expect(allocation.bitsPerWeight <= target && allocation.bitsPerWeight > target - 0.2)
        counts.append(allocation.schemes.values.count { $0 == "q8" })
        let report = try Quantizer(
          checkpoint, recipe: try Recipe.uniform("q4"), effort: .fast, allocation: allocation
        ).run(to: directory.appending("out"), pool: WorkerPool(threads: 2))
        #expect(report.bitsPerWeight == allocation.bitsPerWeight)
      }
      #expect(counts[0] > 0 && counts[0] < counts[1])
    }
    #expect(
      faultCode {
        _ = try SchemeAllocation(
          checkpoint, bitsPerWeight: 4.4, effort: .fast, calibration: nil, threads: 1)
      } == "preparation.budgetTooSmall")
  }
}
