import ShardRuntime
import Testing

@Suite struct BenchmarkTests {
  private let runner = CountingRunner(vocabularySize: 30)

  private func run(
    _ request: BenchmarkRequest, context: Int = 100, onWarm: () throws -> Void = {}
  ) throws -> BenchmarkResult {
    try Benchmark(
      runner: runner, limits: SequenceLimits(context: context, vocabularySize: 30)
    ).run(request, onWarm: onWarm)
  }

  @Test func everyRepetitionGivesOneSample() throws {
    var runsWhenWarm = 0
    let request = BenchmarkRequest(promptTokens: 20, generateTokens: 10, repetitions: 3)
    let result = try run(request) { runsWhenWarm = runner.runs.count }
    #expect(runsWhenWarm == 9)
    #expect(result.firstTokenSeconds.count == 3 && result.tokenSeconds.count == 3)
    #expect(result.tokenSeconds.allSatisfy { $0 > 0 })
    #expect(runner.resets == 4)
    #expect(runner.runs.count == 9 + 3 * 11)
    let prompts = runner.runs.filter { $0.firstPosition == 0 }.map(\.ids)
    #expect(prompts.allSatisfy { $0 == prompts[0] && $0.count == 20 })
    #expect(runner.runs.map { $0.firstPosition + $0.ids.count }.max() == 30)
  }

  @Test func standardRequestsFit() throws {
    for context in [2, 3, 10, 64, 512, 576, 4096] {
      let request = BenchmarkRequest.standard(context: context)
      #expect(request.promptTokens + request.generateTokens <= context)
    }
    let usual = BenchmarkRequest.standard(context: 4096)
    #expect(usual.promptTokens == 512 && usual.generateTokens == 64)
  }

  @Test func refusesWhatDoesNotFit() {
    let request = BenchmarkRequest(promptTokens: 90, generateTokens: 11, repetitions: 1)
    #expect(throws: GenerationFault.self) { try run(request) }
  }
}
