import TensorCore

/// What is measured.
public struct BenchmarkRequest: Sendable, Equatable {
  public var promptTokens: Int
  public var generateTokens: Int
  public var repetitions: Int

  public init(promptTokens: Int, generateTokens: Int, repetitions: Int) {
    self.promptTokens = promptTokens
    self.generateTokens = generateTokens
    self.repetitions = repetitions
  }

  /// What is asked for, and of the usual prompt of 512 tokens and answer of 64 what then fits the
  /// context.
  public init(context: Int, promptTokens: Int?, generateTokens: Int?, repetitions: Int) {
    self = .standard(context: context)
    if let promptTokens {
      self.promptTokens = promptTokens
      self.generateTokens = max(1, min(64, context - promptTokens))
    }
    if let generateTokens { self.generateTokens = generateTokens }
    if promptTokens == nil, generateTokens != nil {
      self.promptTokens = max(1, min(self.promptTokens, context - self.generateTokens))
    }
    self.repetitions = repetitions
  }

  /// The usual prompt of 512 tokens and answer of 64, or what of them fits the context.
  public static func standard(context: Int) -> BenchmarkRequest {
    let prompt = max(1, min(512, context * 3 / 4))
    return BenchmarkRequest(
      promptTokens: prompt, generateTokens: max(1, min(64, context - prompt)), repetitions: 5)
  }
}

/// What came of it: one sample for each repetition.
public struct BenchmarkResult: Sendable, Equatable {
  /// From the request to the first token.
  public fileprivate(set) var firstTokenSeconds: [Double] = []
  /// Mean time of one decoding step.
  public fileprivate(set) var tokenSeconds: [Double] = []
}

/// Measures how fast a model reads prompts and generates.
public struct Benchmark {
  private let runner: any SequenceRunner
  private let limits: SequenceLimits

  public init(runner: any SequenceRunner, limits: SequenceLimits) {
    self.runner = runner
    self.limits = limits
  }

  /// Runs the same pseudo-random prompt again and again, once more than asked for: the first run
  /// warms caches and does not count.
  ///
  /// - Parameters:
  ///   - onWarm: called between the warming run and the first that counts.
  ///   - onRepetition: called behind every run that counts.
  ///   - isInterrupted: asked between two repetitions.
  /// Throws: `GenerationFault` where prompt and answer do not fit the context.
  public func run(
    _ request: BenchmarkRequest, onWarm: () throws -> Void = {},
    onRepetition: () -> Void = {}, isInterrupted: () -> Bool = { false }
  ) throws -> BenchmarkResult {
    try limits.check(positions: request.promptTokens + request.generateTokens)
    let prompt = Self.prompt(request.promptTokens, vocabularySize: limits.vocabularySize)
    _ = try measure(prompt, generating: min(request.generateTokens, 8))
    try onWarm()
    var result = BenchmarkResult()
    for _ in 0..<request.repetitions {
      guard !isInterrupted() else { throw GenerationFault.interrupted }
      let sample = try measure(prompt, generating: request.generateTokens)
      result.firstTokenSeconds.append(sample.first)
      result.tokenSeconds.append(sample.token)
      onRepetition()
    }
    return result
  }

  /// Pseudo-random ids, the same ones every time.
  public static func prompt(_ count: Int, vocabularySize: Int) -> [Int32] {
    (0..<count).map { place in
      Int32(CounterBasedRandom.uniform(seed: 1, step: place) * Double(vocabularySize))
    }
  }

  /// One prompt and so many steps behind it.
  private func measure(
    _ prompt: [Int32], generating count: Int
  ) throws -> (first: Double, token: Double) {
    let clock = ContinuousClock()
    try runner.reset()
    let start = clock.now
    var token = try next(prompt, 0, step: 0)
    let first = clock.now
    for step in 1...count {
      token = try next([token], prompt.count + step - 1, step: step)
    }
    return ((first - start).seconds, (clock.now - first).seconds / Double(count))
  }

  private func next(_ ids: [Int32], _ position: Int, step: Int) throws -> Int32 {
    let result = try runner.run(ids, firstPosition: position, output: .sample(.greedy, step: step))
    guard case .token(let token) = result else { throw GenerationFault.unexpectedAnswer }
    return token
  }
}
