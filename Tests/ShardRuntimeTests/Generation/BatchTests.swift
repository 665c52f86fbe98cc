import ShardRuntime
import ShardTransport
import TensorCore
import TestSupport
import Testing

/// Several sequences through one ring at once.
@Suite struct BatchTests {
  static let limits = SequenceLimits(context: 64, vocabularySize: TinyModel.vocabularySize)

  /// Prompts of different lengths that end for different reasons.
  static let requests: [GenerationRequest] = {
    var random = SeededGenerator(seed: 9)
    return (0..<11).map { index in
      let count = [1, 3, 21, 40, 64][index % 5]
      let prompt = (0..<count).map { _ in Int32.random(in: 0..<50, using: &random) }
      let sampling =
        index % 2 == 0 ? .greedy : SamplingParameters(temperature: 1, topK: 0, topP: 1, seed: 3)
      return GenerationRequest(
        promptIds: prompt, maximumTokens: 1 + index * 4, sampling: sampling,
        stopIds: index % 3 == 0 ? Set(stride(from: 0, to: 50, by: 4)) : [])
    }
  }()

  static func alone() throws -> [GenerationResult] {
    let generator = Generator(
      runner: try InferencePipeline(stage: TinyPlan(cuts: []).stage(0)), tokenizer: nil,
      limits: limits)
    return try requests.map { try generator.generate($0) }
  }

  private func expect(
    _ found: [(index: Int, result: GenerationResult)], _ expected: [GenerationResult],
    _ what: String
  ) {
    #expect(found.map(\.index) == Array(expected.indices), "\(what): the order of the requests")
    #expect(found.map(\.result.tokenIds) == expected.map(\.tokenIds), "\(what)")
    #expect(found.map(\.result.finishReason) == expected.map(\.finishReason), "\(what)")
  }

  @Test func eachIsAsIfAlone() throws {
    let expected = try Self.alone()
    #expect(Set(expected.map(\.finishReason)) == [.stop, .length, .context])
    let loopback = LoopbackTransport()
    defer { loopback.shutdown() }
    for cuts in [[], [3], [2, 4], [1, 2, 4]] {
      for sequences in [1, 2, 3, 7] {
        let plan = TinyPlan(cuts: cuts, sequences: sequences)
        let cluster = try TinyCluster(plan, transport: { _ in loopback })
        let pipeline = try cluster.pipeline(prefillChunk: 5, transport: loopback)
        // Twice on one ring: nothing is left of the first time.
        for _ in 0..<2 {
          var found: [(index: Int, result: GenerationResult)] = []
          let timings = try BatchGenerator(tokenizer: nil, limits: Self.limits)
            .generate(Self.requests, on: pipeline) { index, result in
              found.append((index, result))
              return true
            }
          expect(found, expected, "cuts \(cuts), \(sequences) sequences")
          #expect(timings.generatedTokens == expected.map(\.tokenIds.count).reduce(0, +))
          #expect(timings.prompts == expected.count)
        }
        // And a sequence alone is no worse for it.
        let single = try Generator(runner: pipeline, tokenizer: nil, limits: Self.limits)
          .generate(Self.requests[2])
        #expect(single.tokenIds == expected[2].tokenIds)
        pipeline.shutdown()
      }
    }
  }

  /// Three nodes of 6 ms each: a token of one sequence takes 18 ms, three sequences keep all three
  /// nodes at work.
  @Test func sequencesFillTheRing() throws {
    let loopback = LoopbackTransport()
    defer { loopback.shutdown() }
    let plan = TinyPlan(cuts: [2, 4], delay: .milliseconds(6), sequences: 3)
    let cluster = try TinyCluster(plan, transport: { _ in loopback })
    let pipeline = try cluster.pipeline(transport: loopback)
    let requests = (0..<3).map {
      GenerationRequest(promptIds: [Int32($0 + 1)], maximumTokens: 40)
    }
    var rates: [Double] = []
    for width in [1, 3] {
      let timings = try BatchGenerator(tokenizer: nil, limits: Self.limits, width: width)
        .generate(requests, on: pipeline) { _, _ in true }
      #expect(timings.generatedTokens == 120)
      rates.append(try #require(timings.tokensPerSecond))
    }
    #expect(rates[1] >= 2.5 * rates[0], "\(rates)")
  }

  /// A long prompt does not keep the other sequences waiting for all of it.
  @Test func promptsLetOthersGoOn() throws {
    let loopback = LoopbackTransport()
    defer { loopback.shutdown() }
    let plan = TinyPlan(cuts: [3], prefillChunk: 2, delay: .milliseconds(10), sequences: 2)
    let cluster = try TinyCluster(plan, transport: { _ in loopback })
    let pipeline = try cluster.pipeline(transport: loopback)
    let long = [Int32](repeating: 4, count: 60)
    try pipeline.submit(long, sequence: 0, firstPosition: 0, output: .sample(.greedy, step: 0))
    var tokens = 0
    var position = 0
    while true {
      if tokens == position {
        try pipeline.submit(
          [1], sequence: 1, firstPosition: position, output: .sample(.greedy, step: 0))
        position += 1
      }
      guard try pipeline.nextResult().sequence == 1 else { break }
      tokens += 1
    }
    // 30 passes of the prompt; one after the other there would be none in between.
    #expect(tokens >= 8, "\(tokens) tokens while the prompt was read")
  }

  @Test func lossesChangeNothing() throws {
    let expected = try Self.alone()
    let site = try FailureTests.Site(sequences: 3)
    let events = SurvivalTests.Events()
    let recovery = RingRecovery(.wait(.seconds(20)), onEvent: events.take)
    let stage = site.plan.stage(0)
    func connect(_ error: (any Error)?, _ patience: Duration) throws -> InferencePipeline {
      var options = InferencePipeline.Options()
      options.connectPatience = patience
      return try InferencePipeline(
        stage: stage, peers: site.peers, options: options, transport: site.coordinator)
    }
    var healers: [DedicatedThread] = []
    var found: [(index: Int, result: GenerationResult)] = []
    let timings = try BatchGenerator(tokenizer: nil, limits: Self.limits)
      .generate(
        Self.requests, on: try connect(nil, .seconds(1)), recovery: recovery, connect: connect
      ) { index, result in
        found.append((index, result))
        if index == 1 { healers.append(site.strikeAndHeal(.stop, node: 1)) }
        if index == 6 { healers.append(site.strikeAndHeal(.leave, node: 2)) }
        return true
      }
    for healer in healers { healer.finish() }
    expect(found, expected, "two losses")
    #expect(Set(events.waits.map(\.node)).isSuperset(of: ["node-1", "node-2"]))
    #expect(timings.lostSeconds > 0.8)
  }

  @Test func promptsAreCheckedBeforeAnyRuns() throws {
    let pipeline = try InferencePipeline(stage: TinyPlan(cuts: []).stage(0))
    let generator = BatchGenerator(tokenizer: nil, limits: Self.limits)
    func fault(_ prompts: [[Int32]]) -> GenerationFault? {
      do {
        _ = try generator.generate(
          prompts.map { GenerationRequest(promptIds: $0, maximumTokens: 2) }, on: pipeline
        ) { _, _ in
          Issue.record("a prompt was run")
          return true
        }
        return nil
      } catch {
        return error as? GenerationFault
      }
    }
    let empty = fault([[1], []])
    #expect(empty?.code == "generation.noTokens" && empty?.context["prompt"] == "2")
    #expect(fault([[1], [2], [50]])?.message.hasPrefix("prompt 3: token 50") == true)
    #expect(fault([[Int32](repeating: 1, count: 65)])?.exitStatus == .doesNotFit)
  }
}
