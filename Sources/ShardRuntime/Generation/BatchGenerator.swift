import ShardTransport
import TensorCore
import Tokenization

/// How long a batch took, and what was lost with nodes.
public struct BatchTimings: Sendable, Equatable {
  public var prompts = 0
  public var promptTokens = 0
  public var generatedTokens = 0
  /// From the first request to the last token, without what was lost.
  public var seconds = 0.0
  public var lostSeconds = 0.0

  public var tokensPerSecond: Double? {
    generatedTokens > 0 && seconds > 0 ? Double(generatedTokens) / seconds : nil
  }
}

/// Continues many prompts, as many at once as the nodes have room for; each prompt gets the tokens
/// that it would get alone.
public struct BatchGenerator {
  private let tokenizer: Tokenizer?
  private let limits: SequenceLimits
  /// Sequences at once.
  private let width: Int

  /// - Parameter width: most sequences at once; the nodes' room is a limit too.
  public init(tokenizer: Tokenizer?, limits: SequenceLimits, width: Int = .max) {
    self.tokenizer = tokenizer
    self.limits = limits
    self.width = max(1, width)
  }

  /// Generates until every prompt has its answer.
  ///
  /// - Parameters:
  ///   - recovery: what happens where the runner is lost.
  ///   - connect: makes the next runner; takes the error before, and how long peers that do not
  ///     answer are asked again.
  ///   - isInterrupted: asked behind every token.
  ///   - onResult: takes the answers in the order of the requests, each as soon as those before it
  ///     are there; returns whether to go on.
  /// Throws: `GenerationFault` for a prompt that cannot be run, before any is, or where it is
  ///   interrupted; whatever the runner throws where it is not recovered from.
  public func generate(
    _ requests: [GenerationRequest], on runner: any SequencesRunner,
    recovery: RingRecovery = RingRecovery(.abort),
    connect: (any Error, Duration) throws -> any SequencesRunner = { error, _ in throw error },
    isInterrupted: () -> Bool = { false },
    onResult: (Int, GenerationResult) -> Bool
  ) throws -> BatchTimings {
    for (index, request) in requests.enumerated() {
      do throws(GenerationFault) {
        try limits.check(request.promptIds)
        try limits.check(positions: request.promptIds.count)
      } catch {
        throw requests.count > 1 ? error.inPrompt(index + 1) : error
      }
    }
    var runner = runner
    let start = Monotonic.now()
    var lost = Duration.zero
    // When the call began that failed, until a result comes again.
    var lossBegan: Duration?
    var batch = Batch(requests, width: min(width, runner.sequences), tokenizer, limits)
    while !batch.isDone {
      guard !isInterrupted() else { throw GenerationFault.interrupted }
      let attempt = Monotonic.now()
      do {
        try batch.submit(to: runner)
        let (sequence, result) = try runner.nextResult()
        try batch.take(result, of: sequence)
        recovery.madeProgress()
        if let began = lossBegan {
          lost += Monotonic.now() - began
          lossBegan = nil
        }
      } catch {
        lossBegan = lossBegan ?? attempt
        runner = try recovery.restore(after: error, replaying: batch.restart(), connect)
      }
      while let (index, result) = batch.nextFinished() {
        guard onResult(index, result) else { throw GenerationFault.interrupted }
      }
    }
    var timings = batch.timings
    timings.seconds = (Monotonic.now() - start - lost).inSeconds
    timings.lostSeconds = lost.inSeconds
    return timings
  }
}

/// Who is where in a batch.
private struct Batch {
  private struct Member {
    let index: Int
    var generated: [Int32] = []
    var text: TextStream?
    /// Ids that are still to be sent, and the position of the first; none while they are under
    /// way.
    var pending: (ids: [Int32], position: Int)?
    let started: Duration
    var firstToken: Duration
  }

  private let requests: [GenerationRequest]
  private let tokenizer: Tokenizer?
  private let limits: SequenceLimits
  /// By sequence.
  private var members: [Member?]
  private var next = 0
  private var finished: [Int: GenerationResult] = [:]
  private var reported = 0
  private(set) var timings = BatchTimings()

  init(
    _ requests: [GenerationRequest], width: Int, _ tokenizer: Tokenizer?, _ limits: SequenceLimits
  ) {
    self.requests = requests
    self.tokenizer = tokenizer
    self.limits = limits
    members = [Member?](repeating: nil, count: width)
  }

  var isDone: Bool { reported == requests.count }

  /// Gives free sequences the next prompts, and sends what is pending.
  mutating func submit(to runner: any SequencesRunner) throws {
    for sequence in members.indices {
      if members[sequence] == nil, next < requests.count {
        let (prompt, now) = (requests[next].promptIds, Monotonic.now())
        members[sequence] = Member(
          index: next, text: tokenizer.map { TextStream($0, behind: prompt) },
          pending: (prompt, 0), started: now, firstToken: now)
        timings.prompts += 1
        timings.promptTokens += prompt.count
        next += 1
      }
      guard let member = members[sequence], let (ids, position) = member.pending else { continue }
      members[sequence]?.pending = nil
      try runner.submit(
        ids, sequence: sequence, firstPosition: position,
        output: .sample(requests[member.index].sampling, step: member.generated.count))
    }
  }

  /// Takes the token that a sequence goes on with.
  mutating func take(_ result: StepResult, of sequence: Int) throws {
    guard case .token(let token) = result, var member = members[sequence] else {
      throw GenerationFault.unexpectedAnswer
    }
    let request = requests[member.index]
    let now = Monotonic.now()
    if member.generated.isEmpty { member.firstToken = now }
    member.generated.append(token)
    timings.generatedTokens += 1
    let position = request.promptIds.count + member.generated.count - 1
    var reason: FinishReason?
    if request.stopIds.contains(token) {
      reason = .stop
    } else {
      _ = member.text?.append(token)
      if member.generated.count >= request.maximumTokens {
        reason = .length
      } else if position >= limits.context {
        reason = .context
      }
    }
    member.pending = ([token], position)
    members[sequence] = member
    if let reason { finish(sequence, reason, at: now) }
  }

  private mutating func finish(_ sequence: Int, _ reason: FinishReason, at now: Duration) {
    guard var member = members[sequence] else { return }
    members[sequence] = nil
    _ = member.text?.finish()
    var timings = GenerationTimings()
    timings.promptTokens = requests[member.index].promptIds.count
    timings.generatedTokens = member.generated.count
    timings.firstTokenSeconds = (member.firstToken - member.started).inSeconds
    timings.decodeSeconds = (now - member.firstToken).inSeconds
    finished[member.index] = GenerationResult(
      tokenIds: member.generated, text: member.text?.text, finishReason: reason, timings: timings)
  }

  /// Prepares all sequences to be run from their beginnings; returns how many tokens that are.
  mutating func restart() -> Int {
    var count = 0
    for sequence in members.indices {
      guard let member = members[sequence] else { continue }
      let ids = requests[member.index].promptIds + member.generated
      members[sequence]?.pending = (ids, 0)
      count += ids.count
    }
    return count
  }

  /// The next answer in the order of the requests, where it is there.
  mutating func nextFinished() -> (index: Int, result: GenerationResult)? {
    guard let result = finished.removeValue(forKey: reported) else { return nil }
    defer { reported += 1 }
    return (reported, result)
  }
}
