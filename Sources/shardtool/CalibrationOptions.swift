import ArgumentParser
import Checkpoints
import CommandLineSupport
import ModelArchitectures
import ShardPreparation
import StrictJSON
import TensorCore
import Tokenization

/// A text to calibrate with, for `quantize`.
struct CalibrationOptions: ParsableArguments {
  @Option(
    name: .customLong("calibrate"),
    help: ArgumentHelp(
      "Run the model over this UTF-8 text and spend accuracy where activations are large.",
      valueName: "file"), completion: .file())
  var text: String?

  @Option(
    name: .customLong("calibrate-token-file"),
    help: ArgumentHelp(
      "The same with token ids: an I32 tensor `ids` in a safetensors file, or numbers in a text.",
      valueName: "file"), completion: .file())
  var tokenFile: String?

  @Option(
    name: .customLong("calibrate-tokens"),
    help: ArgumentHelp("Take this many tokens of it.", valueName: "n"))
  var tokens = 8192

  func validate() throws {
    guard text == nil || tokenFile == nil else {
      throw ValidationError("Give one of --calibrate and --calibrate-token-file.")
    }
    guard tokens > 0 else {
      throw ValidationError("--calibrate-tokens takes a number from 1 up, not \(tokens).")
    }
  }

  /// The text for a checkpoint; nil where none was given.
  func read(for checkpoint: Checkpoint) throws -> CalibrationText? {
    guard text != nil || tokenFile != nil else { return nil }
    let source = TextSource(directory: checkpoint.directory, text: text, tokenFile: tokenFile)
    let architecture = try ArchitectureRegistry.architecture(for: checkpoint.configuration)
    return try CalibrationText(
      Array(try source.ids().prefix(tokens)), bos: try source.beginning(),
      dimensions: architecture.dimensions)
  }
}

/// Token ids of a text or a file, for a model in a directory.
struct TextSource {
  let directory: String
  let text: String?
  let tokenFile: String?
  var bos: Int32?

  func ids() throws -> [Int32] {
    if let tokenFile { return try TokenFile.read(tokenFile) }
    guard let text else { return [] }
    let bytes = try InputFile.contents(of: text)
    guard let string = String(validating: bytes, as: UTF8.self) else {
      throw InputFault("notUTF8", "\(text) is no UTF-8 text; convert it")
    }
    return try Tokenizer.load(directory: directory).encode(string, addSpecialTokens: false)
  }

  /// The token that begins a text.
  func beginning() throws -> Int32 {
    if let bos { return bos }
    let checkpoint = try Checkpoint(directory: directory)
    if Tokenizer.hasFiles(checkpoint.tokenizerFiles),
      let id = try Tokenizer.load(directory: directory).beginningOfSequence
    {
      return id
    }
    if let id = checkpoint.configuration["bos_token_id"]?.int, let narrow = Int32(exactly: id) {
      return narrow
    }
    throw InputFault(
      "noBeginningOfSequence",
      "\(directory) names no token that begins a text; see that it has config.json with "
        + "bos_token_id")
  }
}
