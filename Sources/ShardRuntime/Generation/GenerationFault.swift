import TensorCore

/// A request that the model at hand cannot meet, or one that was given up.
public struct GenerationFault: Fault {
  public let code: String
  public let message: String
  public let exitStatus: ExitStatus
  public let context: [String: String]

  init(
    _ code: String, _ exitStatus: ExitStatus, _ message: String, context: [String: String] = [:]
  ) {
    self.code = "generation.\(code)"
    self.message = message
    self.exitStatus = exitStatus
    self.context = context
  }

  static var noTokens: GenerationFault {
    GenerationFault(
      "noTokens", .usage,
      "there is no token to start from: the prompt is empty and the tokenizer adds none; "
        + "give some text or --token-ids")
  }

  static func outsideVocabulary(id: Int32, index: Int, size: Int) -> GenerationFault {
    GenerationFault(
      "tokenOutsideVocabulary", .badData,
      "token \(id) at place \(index) is outside the model's vocabulary of \(size) (ids 0 to "
        + "\(size - 1)); use ids of this model's tokenizer",
      context: ["token": "\(id)", "place": "\(index)"])
  }

  static func tooLong(tokens: Int, limits: SequenceLimits) -> GenerationFault {
    GenerationFault(
      "longerThanContext", .doesNotFit,
      "\(Quantity.count(tokens, "token")) cannot fit the "
        + "\(Quantity.count(limits.context, "position")) that this bundle was planned for; "
        + advice("shorten the text", tokens: tokens, limits))
  }

  static func chatTooLong(tokens: Int, limits: SequenceLimits) -> GenerationFault {
    GenerationFault(
      "longerThanContext", .doesNotFit,
      "the chat has come to \(tokens) tokens, more than the \(limits.context) positions that this "
        + "bundle was planned for; " + advice("begin a new chat", tokens: tokens, limits))
  }

  /// A message that no chat has room for. The tokens count what the template adds.
  static func messageTooLong(
    _ what: String, tokens: Int, limits: SequenceLimits
  ) -> GenerationFault {
    GenerationFault(
      "longerThanContext", .doesNotFit,
      "\(what) alone comes to \(tokens) tokens in the template, more than the \(limits.context) "
        + "positions that this bundle was planned for; "
        + advice("shorten it", tokens: tokens, limits))
  }

  static func emptyChat(template: String) -> GenerationFault {
    GenerationFault(
      "emptyChat", .badData,
      "\(template) writes nothing for this chat, so that there is no token to start from; give "
        + "another with --template FILE", context: ["file": template])
  }

  /// What to do, without advice that the planner would refuse.
  private static func advice(_ first: String, tokens: Int, _ limits: SequenceLimits) -> String {
    guard let most = limits.modelContext, tokens > most else {
      return "\(first), or plan and pack with --context \(tokens) or more"
    }
    return most > limits.context
      ? "\(first); the model has \(most) positions at most (--context \(most))"
      : "\(first); the model has no more positions"
  }

  /// The fault as that of one prompt of many, counted from 1.
  func inPrompt(_ number: Int) -> GenerationFault {
    GenerationFault(
      String(code.dropFirst("generation.".count)), exitStatus, "prompt \(number): \(message)",
      context: context.merging(["prompt": "\(number)"]) { $1 })
  }

  static var unexpectedAnswer: GenerationFault {
    GenerationFault(
      "unexpectedAnswer", .bug, "the last node answered with something else than was asked for")
  }

  /// The user has asked to stop.
  public static var interrupted: GenerationFault {
    GenerationFault("interrupted", .tryAgain, "interrupted before the end; run it again")
  }
}
