import Quantization
import TensorCore
import TensorKernels
import TestSupport
import Testing

/// Every family against the logits, hidden states and continuations that Hugging Face's own
/// implementation gives, and against itself over all cuts.
@Suite struct GoldenModelTests {
  static let fixtures = Places.directories(in: Places.fixture("families"))
  static let models = fixtures + Places.referenceDirectories("models")
  static let bound: Float = 2e-3
  /// Tiny models gather less noise.
  static let fixtureBound: Float = 1e-4

  @Test func reportsHowMuchRuns() {
    let count = Self.models.count - Self.fixtures.count
    print("golden models: \(Self.fixtures.count), and \(count) of the reference set")
    #expect(Self.fixtures.count > 20)
  }

  @Test(arguments: models) func meetsGoldenValuesLayerByLayer(directory: String) throws {
    let model = try PreparedModel(directory)
    let golden = try GoldenModel(directory)
    let bound = Self.fixtures.contains(directory) ? Self.fixtureBound : Self.bound
    let layers = try model.layerCount
    let chain = try model.load(split: Array(repeating: 1, count: layers), threads: 2)
    let ids = try golden.ints("input_ids")
    let result = chain.run(ids)
    let embedded = try golden.floats("hidden.embed")
    #expect(largestDistance(result.embedded.flatMap { $0 }, embedded) <= bound)
    for layer in 0..<layers {
      let expected = try golden.floats("hidden.layer.\(layer)")
      let distance = largestDistance(result.hidden[layer].flatMap { $0 }, expected)
      #expect(distance <= bound, "layer \(layer)")
    }
    let distance = largestDistance(
      result.logits.flatMap { $0 }, try golden.floats("logits"))
    #expect(distance <= bound)
    let greedy = try golden.ints("greedy_ids")
    #expect(chain.continued(ids, count: greedy.count) == greedy)
  }

  /// Long rope has frequencies of its own for contexts no longer than the original one.
  @Test(arguments: fixtures) func shortContextsMeetGoldenValues(directory: String) throws {
    let golden = try GoldenModel(directory)
    let ids = try golden.ints("short.input_ids")
    guard !ids.isEmpty else { return }
    let model = try PreparedModel(directory)
    let result = try model.load(split: [try model.layerCount], context: ids.count).run(ids)
    let expected = try golden.floats("short.logits")
    #expect(largestDistance(result.logits.flatMap { $0 }, expected) <= Self.fixtureBound)
  }

  @Test(arguments: models) func cutsThreadsAndChunksChangeNothing(directory: String) throws {
    let model = try PreparedModel(directory)
    let golden = try GoldenModel(directory)
    let ids = try golden.ints("input_ids")
    let layers = try model.layerCount
    let whole = try model.load(split: [layers]).run(ids)
    for cut in Self.cuts(layers) {
      for (threads, chunk) in [(1, 512), (2, 7)] {
        let result = try model.load(split: cut, threads: threads, prefillChunk: chunk).run(ids)
        #expect(result.logits == whole.logits, "\(cut), \(threads) threads, chunks of \(chunk)")
      }
    }
    let single = try model.load(split: [layers], threads: 2, prefillChunk: 1).run(ids)
    #expect(single == whole)
  }

  /// All ways to give 2 and 3 nodes at least one layer each.
  static func cuts(_ layers: Int) -> [[Int]] {
    var cuts: [[Int]] = []
    for first in 1..<max(1, layers) {
      cuts.append([first, layers - first])
      for second in 1..<max(1, layers - first) {
        cuts.append([first, second, layers - first - second])
      }
    }
    return cuts
  }

  @Test(arguments: ["tiny-fable"]) func trainedModelMeetsGoldenLogits(name: String) throws {
    let directory = Places.fixture(name)
    let model = try PreparedModel(directory)
    let golden = try GoldenModel(directory)
    let chain = try model.load(split: [2, 2, 2], threads: 2)
    for prompt in 0..<3 {
      let result = chain.run(try golden.ints("prompt\(prompt).input_ids"))
      let expected = try golden.floats("prompt\(prompt).logits")
      #expect(largestDistance(result.logits.flatMap { $0 }, expected) <= Self.bound)
    }
  }

  @Test(arguments: InstructionSet.available) func instructionSetsAgree(
    set: InstructionSet
  ) throws {
    let directory = Places.fixture("tiny-fable")
    let ids = try GoldenModel(directory).ints("prompt0.input_ids")
    for recipe in [Recipe.bits16, .bits8, .bits4] {
      let model = try PreparedModel(directory, recipe: recipe)
      let expected = try model.load(split: [6], instructionSet: .reference).run(ids)
      let found = try model.load(split: [3, 3], threads: 2, instructionSet: set).run(ids)
      #expect(found.logits == expected.logits, "\(recipe.name) with \(set.rawValue)")
    }
  }
}
