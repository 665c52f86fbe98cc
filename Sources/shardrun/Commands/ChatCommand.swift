import ArgumentParser
import CommandLineSupport
import Foundation
import ShardPackaging
import ShardRuntime
import TensorCore
import Tokenization

struct ChatCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chat",
    abstract: "Chats through the model's own template.",
    discussion: """
      Each line of standard input is a message; the answer streams to standard output, statistics \
      to standard error. A line may be a command: /reset begins anew, /exit ends, /help lists \
      them. Ctrl-C stops an answer and keeps the chat. With --json each answer is one JSON object \
      on one line. A line that is no message (not UTF-8, or no JSON string with --json-lines) is \
      an error on its line, and the next one is read; a pipe's chat then ends with status 65. \
      Answers are sampled as by generate: the most probable tokens by default.
      """)

  @OptionGroup var bundle: BundleArgument
  @OptionGroup var place: PlaceOptions

  @Option(help: "What the model is told before the chat.")
  var system: String?

  @Option(
    help: "A chat template (Jinja) to use instead of the model's own.", completion: .file())
  var template: String?

  @Option(
    name: .customLong("max-tokens"),
    help: "Tokens of one answer at most (default: as many as the context has room for).")
  var maximumTokens: Int?

  @Flag(
    name: .customLong("json-lines"),
    help: "Each line of standard input is a JSON string, so that messages can have several lines.")
  var jsonLines = false

  @OptionGroup var sampling: SamplingOptions
  @OptionGroup var failure: FailureOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let maximumTokens, maximumTokens < 1 {
      throw ValidationError("--max-tokens takes a positive number, not \(maximumTokens).")
    }
  }

  func run() throws {
    let source = try template.map { (path: $0, text: try TextFile.read($0)) }
    let parsed = try source.map { try ChatTemplate($0.text, name: $0.path) }
    try Ranks.guarded(bundle.path, place) { interruption in
      var format: ChatFormat?
      let model = try RunningModel(
        bundle: bundle.path, place: place, common: common, interruption: interruption,
        failure: failure.policy, check: { format = try self.format($0, $1, parsed) })
      defer { model.stop() }
      guard let format else { return }
      let conversation = Conversation(
        runner: model.makeRunner(), limits: model.limits, format: format,
        settings: Conversation.Settings(
          system: system, maximumTokens: maximumTokens, sampling: sampling.parameters,
          stopIds: model.stopIds, date: .now))
      var loop = ChatLoop(
        model: model, conversation: conversation, common: common, readsJSON: jsonLines,
        interruption: interruption)
      try loop.run()
    }
  }

  /// The tokenizer and template, tried on a first message before the weights are read.
  private func format(
    _ package: VerifiedPackage, _ tokenizer: Tokenizer?, _ given: ChatTemplate?
  ) throws -> ChatFormat {
    guard let tokenizer else { throw TextFault.noTokenizerForChat(package.directory) }
    guard let template = try given ?? tokenizer.chatTemplate else {
      throw TextFault.noTemplate(package.directory, names: tokenizer.chatTemplateNames)
    }
    let format = ChatFormat(tokenizer: tokenizer, template: template)
    try format.check(
      system: system, date: .now, context: package.plan.settings.context,
      modelContext: package.plan.facts.contextLength)
    return format
  }
}

extension ChatDate {
  /// This machine's date and time.
  static var now: ChatDate {
    let parts = Calendar(identifier: .gregorian).dateComponents(
      [.year, .month, .day, .hour, .minute, .second], from: Date())
    return ChatDate(
      year: parts.year ?? 0, month: parts.month ?? 0, day: parts.day ?? 0, hour: parts.hour ?? 0,
      minute: parts.minute ?? 0, second: parts.second ?? 0)
  }
}
