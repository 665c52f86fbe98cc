import TensorCore
import Tokenization

/// What to continue, how far and how.
public struct GenerationRequest: Sendable {
  public var promptIds: [Int32]
  public var maximumTokens: Int
  public var sampling: SamplingParameters
  /// Tokens that end the text; empty to go on behind them.
  public var stopIds: Set<Int32>

  public init(
    promptIds: [Int32], maximumTokens: Int, sampling: SamplingParameters = .greedy,
    stopIds: Set<Int32> = []
  ) {
    self.promptIds = promptIds
    self.maximumTokens = maximumTokens
    self.sampling = sampling
    self.stopIds = stopIds
  }
}

/// Why a generation ended.
public enum FinishReason: String, Sendable {
  /// The model ended the text.
  case stop
  /// As many tokens as were asked for.
  case length
  /// No position is left in the planned context.
  case context
  /// The user has had enough.
  case interrupted
}

/// How long the parts of a generation took.
public struct GenerationTimings: Sendable, Equatable {
  public var promptTokens = 0
  /// Tokens of the prompt that an earlier request had left in the caches.
  public var keptTokens = 0
  public var generatedTokens = 0
  /// From the request to the first token.
  public var firstTokenSeconds = 0.0
  /// From the first token to the last.
  public var decodeSeconds = 0.0
  /// Lost with nodes, and with computing again what they held; no part of the times above.
  public var lostSeconds = 0.0

  public var prefillTokensPerSecond: Double? { rate(promptTokens - keptTokens, firstTokenSeconds) }
  /// The first token belongs to the prefill.
  public var decodeTokensPerSecond: Double? { rate(generatedTokens - 1, decodeSeconds) }

  private func rate(_ count: Int, _ seconds: Double) -> Double? {
    count > 0 && seconds > 0 ? Double(count) / seconds : nil
  }
}

/// One token of a generation, or the text left over at its end.
public struct GenerationStep: Sendable {
  /// Nil for the text that only the end made certain.
  public let token: Int32?
  public let text: String
}

/// What came of a request.
public struct GenerationResult: Sendable {
  /// The new tokens, with the stop token where one ended the text.
  public let tokenIds: [Int32]
  /// The text behind the prompt; nil where the bundle has no tokenizer.
  public let text: String?
  public let finishReason: FinishReason
  public let timings: GenerationTimings
}

/// Continues prompts token by token.
public struct Generator {
  private let runner: any SequenceRunner
  private let tokenizer: Tokenizer?
  private let limits: SequenceLimits

  public init(runner: any SequenceRunner, tokenizer: Tokenizer?, limits: SequenceLimits) {
    self.runner = runner
    self.tokenizer = tokenizer
    self.limits = limits
  }

  /// Generates until a stop token, the maximum or the end of the context.
  ///
  /// - Parameters:
  ///   - onStep: called with each token and the text that became certain with it; returns
  ///     whether to go on.
  /// Throws: `GenerationFault` for a prompt that cannot be run; whatever the runner throws.
  public func generate(
    _ request: GenerationRequest, onStep: (GenerationStep) -> Bool = { _ in true }
  ) throws -> GenerationResult {
    var held: [Int32] = []
    return try generate(request, held: &held, onStep: onStep)
  }

  /// The same, but of the prompt only what differs from an earlier one is run again.
  ///
  /// - Parameter held: the ids that the runner's caches hold; empty after an error.
  public func generate(
    _ request: GenerationRequest, held: inout [Int32],
    onStep: (GenerationStep) -> Bool = { _ in true }
  ) throws -> GenerationResult {
    let prompt = request.promptIds
    try limits.check(prompt)
    guard prompt.count <= limits.context else {
      throw GenerationFault.tooLong(tokens: prompt.count, limits: limits)
    }
    // The last token is run in any case: what follows it is wanted.
    let common = zip(held, prompt.dropLast()).prefix { $0 == $1 }.count
    var cache = held
    held = []
    var text = tokenizer.map { TextStream($0, behind: prompt) }
    var timings = GenerationTimings()
    timings.promptTokens = prompt.count
    let clock = ContinuousClock()
    let start = clock.now
    let lostBefore = runner.timeLost
    var lostWithFirst = lostBefore
    timings.keptTokens = try runner.rewind(to: common)
    cache.removeSubrange(timings.keptTokens...)
    var generated: [Int32] = []
    var reason = FinishReason.length
    var firstToken = start
    var last = start
    var pending = Array(prompt[timings.keptTokens...])
    while generated.count < request.maximumTokens {
      let position = prompt.count + generated.count - pending.count
      guard position < limits.context else {
        reason = .context
        break
      }
      let token = try next(pending, position, request.sampling, step: generated.count)
      cache += pending
      last = clock.now
      if generated.isEmpty { (firstToken, lostWithFirst) = (last, runner.timeLost) }
      generated.append(token)
      pending = [token]
      let isStop = request.stopIds.contains(token)
      // What ends a text is no part of it.
      let piece = isStop ? "" : text?.append(token) ?? ""
      let goOn = onStep(GenerationStep(token: token, text: piece))
      if isStop || !goOn {
        reason = isStop ? .stop : .interrupted
        break
      }
    }
    timings.generatedTokens = generated.count
    let lost = (first: lostWithFirst - lostBefore, later: runner.timeLost - lostWithFirst)
    timings.firstTokenSeconds = (firstToken - start - lost.first).seconds
    timings.decodeSeconds = (last - firstToken - lost.later).seconds
    timings.lostSeconds = (lost.first + lost.later).seconds
    held = cache
    if let rest = text?.finish(), !rest.isEmpty {
      _ = onStep(GenerationStep(token: nil, text: rest))
    }
    return GenerationResult(
      tokenIds: generated, text: text?.text, finishReason: reason, timings: timings)
  }

  private func next(
    _ ids: [Int32], _ position: Int, _ sampling: SamplingParameters, step: Int
  ) throws -> Int32 {
    let result = try runner.run(ids, firstPosition: position, output: .sample(sampling, step: step))
    guard case .token(let token) = result else { throw GenerationFault.unexpectedAnswer }
    return token
  }
}

/// The text of the generated tokens as it becomes certain.
///
/// The decoder has seen the prompt, because a first word's leading space depends on what stands
/// before it.
struct TextStream {
  private var decoder: StreamDecoder
  private(set) var text = ""

  init(_ tokenizer: Tokenizer, behind prompt: [Int32]) {
    decoder = tokenizer.makeStreamDecoder(skipSpecialTokens: true)
    for id in prompt { _ = decoder.feed(id) }
  }

  mutating func append(_ id: Int32) -> String {
    let piece = decoder.feed(id)
    text += piece
    return piece
  }

  mutating func finish() -> String {
    let piece = decoder.finish()
    text += piece
    return piece
  }
}
