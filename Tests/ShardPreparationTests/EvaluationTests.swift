import Checkpoints
import Quantization
import ShardPreparation
import TensorCore
import TensorKernels
import TestSupport
import Testing

@Suite struct EvaluationTests {
  private static let source = Places.fixture("tiny-fable")
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func ids(_ range: Range<Int>) throws -> [Int32] {
    let all = try TokenFile.read(Self.source + "/eval_ids.safetensors")
    return Array(all[range.clamped(to: all.indices)])
  }

  private func evaluate(
    _ tested: String, _ ids: [Int32], threads: Int = 2,
    _ change: (inout Evaluator.Options) -> Void = { _ in }
  ) throws -> Evaluation {
    var options = Evaluator.Options(context: 256)
    change(&options)
    return try Evaluator(tested: tested, against: Self.source).run(
      ids, bos: 1, options: options, compute: try ComputeContext(threads: threads))
  }

  /// The protocol's perplexity is that of the golden values.
  @Test func aModelIsItsOwnEqual() throws {
    let result = try evaluate(Self.source, try ids(0..<Int.max))
    #expect(abs(result.referencePerplexity.value - 1.46422) < 2e-5)
    #expect(result.perplexity == result.referencePerplexity)
    #expect(result.divergence.value < 1e-12 && result.divergence99 < 1e-12)
    #expect(result.sameTop.value == 1 && result.layerErrors == [Double](repeating: 0, count: 6))
  }

  @Test func fewerBitsLieFartherApart() throws {
    let ids = try ids(0..<2000)
    var divergences: [Double] = []
    for bits in [8, 4] {
      let target = directory.appending("q\(bits)")
      try quantize(Self.source, to: target, recipe: try #require(Recipe.bits(bits)))
      let asRun = try evaluate(target, ids)
      let weightsOnly = try evaluate(target, ids) { $0.weightsOnly = true }
      #expect(asRun.tokenCount == 2000 && asRun.divergence99 > asRun.divergence.value)
      #expect(asRun.divergence.standardError > 0 && asRun.sameTop.value > 0.97)
      #expect(asRun.layerErrors.count == 6 && asRun.layerErrors.allSatisfy { $0 > 0 })
      let exact = weightsOnly.divergence.value
      #expect(exact > 0 && exact < 1.2 * asRun.divergence.value)
      divergences.append(exact)
    }
    #expect(divergences[1] > 20 * divergences[0] && divergences[1] < 5e-4)
  }

  @Test func resultsDoNotDependOnThreads() throws {
    let target = directory.appending("q4")
    try quantize(Self.source, to: target)
    let ids = try ids(100..<700)
    let results = try [1, 3].map { threads in
      try evaluate(target, ids, threads: threads) { $0.measuresSensitivity = true }
    }
    #expect(results[0].json.serialized(.compact) == results[1].json.serialized(.compact))
  }

  @Test func everyTensorIsMeasuredAlone() throws {
    let target = directory.appending("q4")
    try quantize(Self.source, to: target)
    let result = try evaluate(target, try ids(0..<600)) {
      $0.measuresSensitivity = true
      $0.weightsOnly = true
    }
    let tensors = try #require(result.sensitivity)
    #expect(tensors.count == 44)
    for tensor in tensors {
      let isHalf = tensor.scheme == "q4"
      #expect(tensor.outputError > (isHalf ? 0.01 : 0.001), "\(tensor.name)")
      #expect(tensor.outputError < (isHalf ? 0.2 : 0.02), "\(tensor.name)")
      #expect(try #require(tensor.divergence) > 0, "\(tensor.name)")
    }
    // Small errors add up.
    let sum = tensors.reduce(0) { $0 + ($1.divergence ?? 0) }
    #expect(sum > 0.3 * result.divergence.value && sum < 3 * result.divergence.value)
    let chart = ErrorChart(result).svg
    #expect(ErrorChart.isChart(Array(chart.utf8)))
    #expect(chart.split(separator: "<circle").count == 43)
    #expect(chart.split(separator: "<rect").count == 8)
  }

  @Test func differentModelsAreRefused() throws {
    let other = directory.appending("other")
    try SmallCheckpoint().write(to: other)
    #expect(
      faultCode { _ = try Evaluator(tested: other, against: Self.source) }
        == "preparation.differentModels")
    let quantized = directory.appending("q4")
    try quantize(Self.source, to: quantized)
    #expect(
      faultCode { _ = try Evaluator(tested: quantized, against: quantized) }
        == "preparation.alreadyQuantized")
    #expect(faultCode { _ = try evaluate(quantized, [1, 5000]) } == "preparation.tokenOutOfRange")
    #expect(faultCode { _ = try evaluate(quantized, []) } == "preparation.noTokens")
  }
}
