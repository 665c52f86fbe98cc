import ShardRuntime
import TensorCore
import Testing

@Suite struct GeneratorTests {
  private func generate(
    _ request: GenerationRequest, context: Int = 100, vocabularySize: Int = 50,
    onStep: (GenerationStep) -> Bool = { _ in true }
  ) throws -> (GenerationResult, CountingRunner) {
    let runner = CountingRunner(vocabularySize: vocabularySize)
    let limits = SequenceLimits(context: context, vocabularySize: vocabularySize)
    let generator = Generator(runner: runner, tokenizer: nil, limits: limits)
    return (try generator.generate(request, onStep: onStep), runner)
  }

  @Test func endsAtTheMaximum() throws {
    let (result, runner) = try generate(
      GenerationRequest(promptIds: [3, 7], maximumTokens: 4))
    #expect(result.tokenIds == [8, 9, 10, 11])
    #expect(result.finishReason == .length)
    #expect(result.text == nil)
    #expect(runner.resets == 1)
    #expect(runner.runs.map(\.ids) == [[3, 7], [8], [9], [10]])
    #expect(runner.runs.map(\.firstPosition) == [0, 2, 3, 4])
    #expect(result.timings.promptTokens == 2 && result.timings.generatedTokens == 4)
  }

  @Test func endsWithTheStopToken() throws {
    let request = GenerationRequest(promptIds: [3], maximumTokens: 40, stopIds: [6, 20])
    let (result, runner) = try generate(request)
    #expect(result.tokenIds == [4, 5, 6])
    #expect(result.finishReason == .stop)
    #expect(runner.runs.count == 3)
  }

  @Test func fillsTheContextAndNoMore() throws {
    let request = GenerationRequest(promptIds: [0, 1, 2], maximumTokens: 40)
    let (result, runner) = try generate(request, context: 5)
    // Positions 0 to 4 hold the prompt and two tokens; the third needs no position.
    #expect(result.tokenIds == [3, 4, 5])
    #expect(result.finishReason == .context)
    #expect(runner.runs.last?.firstPosition == 4)
    let (full, _) = try generate(request, context: 3)
    #expect(full.tokenIds == [3])
  }

  @Test func endsWhereTheReceiverHasEnough() throws {
    var seen: [Int32?] = []
    let request = GenerationRequest(promptIds: [0], maximumTokens: 40)
    let (result, _) = try generate(request) { step in
      seen.append(step.token)
      return seen.count < 3
    }
    #expect(result.tokenIds == [1, 2, 3])
    #expect(seen == [1, 2, 3])
    #expect(result.finishReason == .interrupted)
  }

  @Test func refusesWhatCannotBeRun() {
    #expect(
      performing: {
        _ = try generate(GenerationRequest(promptIds: [], maximumTokens: 4))
      }, throws: { ($0 as? GenerationFault)?.code == "generation.noTokens" })
    #expect(
      performing: {
        _ = try generate(GenerationRequest(promptIds: [1, 50], maximumTokens: 4))
      },
      throws: { error in
        let fault = error as? GenerationFault
        return fault?.exitStatus == .badData && fault?.context["place"] == "1"
      })
    #expect(
      performing: {
        _ = try generate(GenerationRequest(promptIds: [-1], maximumTokens: 4))
      }, throws: { ($0 as? GenerationFault)?.code == "generation.tokenOutsideVocabulary" })
    #expect(
      performing: {
        _ = try generate(GenerationRequest(promptIds: [1, 2, 3], maximumTokens: 4), context: 2)
      }, throws: { ($0 as? GenerationFault)?.exitStatus == .doesNotFit })
  }

  @Test func passesOnWhatTheRingThrows() {
    let runner = CountingRunner(vocabularySize: 10)
    runner.failsAtRun = 2
    let limits = SequenceLimits(context: 10, vocabularySize: 10)
    let generator = Generator(runner: runner, tokenizer: nil, limits: limits)
    #expect(throws: CountingRunner.Broken.self) {
      try generator.generate(GenerationRequest(promptIds: [1], maximumTokens: 4))
    }
  }
}
