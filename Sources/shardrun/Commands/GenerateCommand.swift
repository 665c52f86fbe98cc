import ArgumentParser
import CommandLineSupport
import Foundation
import ShardRuntime
import StrictJSON
import TensorCore
import Tokenization

struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Continues a prompt.",
    discussion: """
      Streams the text behind the prompt to standard output, statistics to standard error. A \
      bundle without tokenizer files takes --token-ids and prints ids. Where a node is lost, the \
      text goes on as soon as it is back, with the tokens it would have had. With --lines each \
      line of --prompt-file is a prompt of its own; as many run at once as were planned, and the \
      answers come in the order of the lines: an empty line between two, or with --json one object \
      a line.
      """)

  @OptionGroup var bundle: BundleArgument
  @OptionGroup var place: PlaceOptions
  @OptionGroup var prompt: PromptOptions
  @OptionGroup var sampling: SamplingOptions
  @OptionGroup var length: LengthOptions
  @OptionGroup var failure: FailureOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    try Ranks.guarded(bundle.path, place) { interruption in
      let model = try RunningModel(
        bundle: bundle.path, place: place, common: common, interruption: interruption,
        text: prompt.tokenIDs == nil ? .needed : .ifPossible,
        sequences: prompt.readsLines ? prompt.sequences : 1, failure: failure.policy)
      defer { model.stop() }
      if prompt.readsLines, let path = prompt.promptFile {
        let batch = LineBatch(
          model: model, length: length, sampling: sampling.parameters, width: prompt.sequences,
          common: common, interruption: interruption)
        return try batch.run(path)
      }
      let ids = try prompt.ids(model)
      let continuation = Continuation(
        model: model, length: length, sampling: sampling.parameters, common: common,
        interruption: interruption)
      try continuation.run(ids)
    }
  }
}

/// Where the prompt comes from.
struct PromptOptions: ParsableArguments {
  @Option(help: "Text to continue.")
  var prompt: String?

  @Option(
    name: .customLong("prompt-file"),
    help: "A UTF-8 file to continue, without the line feed that ends it.", completion: .file())
  var promptFile: String?

  @Option(
    name: .customLong("token-ids"),
    help: ArgumentHelp("Token ids to continue, as they are.", valueName: "1,2,3"))
  var tokenIDs: TokenIDList?

  @Flag(
    name: .customLong("lines"), help: "Each line of --prompt-file is a prompt of its own.")
  var readsLines = false

  @Option(
    help: ArgumentHelp(
      "With --lines: prompts that run at once; at most, and by default, as many as were planned.",
      valueName: "n"))
  var sequences: Int?

  func validate() throws {
    if readsLines, promptFile == nil { throw ValidationError("--lines goes with --prompt-file.") }
    if let sequences {
      guard readsLines else { throw ValidationError("--sequences goes with --lines.") }
      guard sequences >= 1 else {
        throw ValidationError("--sequences takes a positive number, not \(sequences).")
      }
    }
    let given = [prompt != nil, promptFile != nil, tokenIDs != nil].count { $0 }
    guard given == 1 else {
      throw ValidationError(
        "Give the prompt by one of --prompt TEXT, --prompt-file F and --token-ids 1,2,3.")
    }
  }

  func ids(_ model: RunningModel) throws -> [Int32] {
    if let tokenIDs { return tokenIDs.ids }
    if let prompt { return try model.encode(prompt, addSpecialTokens: true) }
    guard let promptFile else { return [] }
    var text = try TextFile.read(promptFile)
    if text.hasSuffix("\n") || text.hasSuffix("\r\n") { text.removeLast() }
    return try model.encode(text, addSpecialTokens: true)
  }
}

/// Where a generation ends.
struct LengthOptions: ParsableArguments {
  @Option(name: .customLong("max-tokens"), help: "Generate at most this many tokens.")
  var maximumTokens = 128

  @Flag(name: .customLong("ignore-eos"), help: "Go on behind the token that ends a text.")
  var ignoresEnd = false

  func validate() throws {
    guard maximumTokens >= 1 else {
      throw ValidationError("--max-tokens takes a positive number, not \(maximumTokens).")
    }
  }
}
