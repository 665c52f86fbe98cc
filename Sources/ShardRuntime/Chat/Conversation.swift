import TensorCore
import Tokenization

/// A chat with a model, by the model's own template.
///
/// Each answer is computed from the whole chat as the template writes it. What of that the caches
/// hold already from the turn before is not computed again; the tokens are the same either way.
public struct Conversation {
  public struct Settings: Sendable {
    /// What the model is told before the chat; nil to tell it nothing.
    public var system: String?
    /// Tokens of one answer; nil for as many as the context has room for.
    public var maximumTokens: Int?
    public var sampling: SamplingParameters
    /// Tokens that end an answer, beside the one that ends it in the template.
    public var stopIds: Set<Int32>
    /// What templates that print a date print.
    public var date: ChatDate?

    public init(
      system: String? = nil, maximumTokens: Int? = nil, sampling: SamplingParameters = .greedy,
      stopIds: Set<Int32> = [], date: ChatDate? = nil
    ) {
      self.system = system
      self.maximumTokens = maximumTokens
      self.sampling = sampling
      self.stopIds = stopIds
      self.date = date
    }
  }

  private let runner: any SequenceRunner
  private let limits: SequenceLimits
  private let format: ChatFormat
  private let settings: Settings
  private let stopIds: Set<Int32>
  /// What was said so far.
  public private(set) var messages: [ChatMessage]
  /// The ids that the runner's caches hold.
  private var held: [Int32] = []

  public init(
    runner: any SequenceRunner, limits: SequenceLimits, format: ChatFormat,
    settings: Settings = Settings()
  ) {
    self.runner = runner
    self.limits = limits
    self.format = format
    self.settings = settings
    stopIds = settings.stopIds.union(format.endOfTurn.map { [$0] } ?? [])
    messages = Self.beginning(settings)
  }

  private static func beginning(_ settings: Settings) -> [ChatMessage] {
    settings.system.map { [ChatMessage(role: "system", content: $0)] } ?? []
  }

  /// Forgets what was said, but for the system's message.
  public mutating func restart() { messages = Self.beginning(settings) }

  /// The model's answer to a user's message. Both join the chat, unless the answer is empty
  /// because it was interrupted.
  ///
  /// - Parameter onStep: called with each token and the text that became certain with it; returns
  ///   whether to go on.
  /// Throws: `TokenizationFault` where the template refuses the chat, `GenerationFault` where it
  ///   does not fit the context; the chat is as it was before then. Whatever the runner throws.
  public mutating func answer(
    _ message: String, onStep: (GenerationStep) -> Bool = { _ in true }
  ) throws -> GenerationResult {
    let asked = messages + [ChatMessage(role: "user", content: message)]
    let prompt = try format.prompt(asked, date: settings.date)
    guard prompt.count <= limits.context else {
      throw tooLong(asked, tokens: prompt.count)
    }
    guard !prompt.isEmpty else { throw GenerationFault.emptyChat(template: format.templateName) }
    let request = GenerationRequest(
      promptIds: prompt, maximumTokens: settings.maximumTokens ?? .max,
      sampling: settings.sampling, stopIds: stopIds)
    let generator = Generator(runner: runner, tokenizer: format.tokenizer, limits: limits)
    let result = try generator.generate(request, held: &held, onStep: onStep)
    let text = result.text ?? ""
    if result.finishReason != .interrupted || !text.isEmpty {
      messages = asked + [ChatMessage(role: "assistant", content: text)]
    }
    return result
  }

  /// Says whether the whole chat is too long, or alone its last message or the system's.
  private func tooLong(_ asked: [ChatMessage], tokens: Int) -> GenerationFault {
    let beginning = Self.beginning(settings)
    if let fault = format.systemTooLong(beginning, date: settings.date, limits: limits) {
      return fault
    }
    if let ids = try? format.prompt(beginning + asked.suffix(1), date: settings.date),
      ids.count > limits.context
    {
      return .messageTooLong("this message", tokens: ids.count, limits: limits)
    }
    return .chatTooLong(tokens: tokens, limits: limits)
  }
}
