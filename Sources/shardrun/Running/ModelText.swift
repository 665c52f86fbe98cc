import ShardRuntime
import StrictJSON
import TensorCore
import Tokenization

/// Text in and out of a running model.
extension RunningModel {
  /// Throws: `TextFault` where the bundle has no tokenizer.
  func encode(_ text: String, addSpecialTokens: Bool) throws -> [Int32] {
    guard let tokenizer else { throw TextFault.noTokenizer(package.directory) }
    return tokenizer.encode(text, addSpecialTokens: addSpecialTokens)
  }

  /// Tokens that end a text, by config.json, generation_config.json and the tokenizer.
  var stopIds: Set<Int32> {
    var ids = Set(tokenizer?.endOfSequence ?? [])
    ids.formUnion(Self.ids(package.configuration["eos_token_id"]))
    if let bytes = package.assets["generation_config.json"],
      let configuration = try? JSONParsing().parse(bytes)
    {
      ids.formUnion(Self.ids(configuration["eos_token_id"]))
    }
    return ids
  }

  /// The token that begins a text, by the tokenizer and config.json.
  var beginningOfSequence: Int32? {
    tokenizer?.beginningOfSequence ?? Self.ids(package.configuration["bos_token_id"]).first
  }

  /// One id or a list of them.
  private static func ids(_ value: JSONValue?) -> [Int32] {
    let values = value?.array ?? value.map { [$0] } ?? []
    return values.compactMap { $0.int.flatMap { Int32(exactly: $0) } }
  }
}

/// Text that cannot be used.
struct TextFault: Fault {
  let code: String
  let message: String
  let exitStatus: ExitStatus
  let context: [String: String]

  static func noTokenizer(_ bundle: String) -> TextFault {
    TextFault(
      code: "text.noTokenizer",
      message: "\(bundle) has no tokenizer, so it takes no text; give --token-ids",
      exitStatus: .usage, context: ["file": bundle])
  }

  static func noBeginning(_ bundle: String) -> TextFault {
    TextFault(
      code: "text.noBeginningOfSequence",
      message: "\(bundle) names no token that begins a text; give it with --bos ID",
      exitStatus: .usage, context: ["file": bundle])
  }

  static func lineTooLong(_ line: Int, limit: Int) -> TextFault {
    TextFault(
      code: "text.lineTooLong",
      message: "line \(line) of standard input has more than \(limit) bytes; send less at once",
      exitStatus: .badData, context: [:])
  }

  static func notJSONText(line: Int) -> TextFault {
    TextFault(
      code: "text.notJSON",
      message: "line \(line) of standard input is no JSON string; write it as \"…\"",
      exitStatus: .badData, context: [:])
  }

  static func noTemplate(_ bundle: String, names: [String]) -> TextFault {
    let found =
      names.isEmpty
      ? "has no chat template"
      : "has no default chat template, only \(names.joined(separator: ", "))"
    return TextFault(
      code: "text.noChatTemplate",
      message: "the model in \(bundle) \(found); give one with --template FILE, or continue text "
        + "with shardrun generate",
      exitStatus: .usage, context: ["file": bundle])
  }

  static func noTokenizerForChat(_ bundle: String) -> TextFault {
    TextFault(
      code: "text.noTokenizer",
      message:
        "\(bundle) has no tokenizer, so it cannot chat; put the tokenizer's files beside the "
        + "checkpoint and quantize and pack again",
      exitStatus: .usage, context: ["file": bundle])
  }

  static func notUTF8(_ path: String) -> TextFault {
    TextFault(
      code: "text.notUTF8", message: "\(path) is not UTF-8 text; convert it",
      exitStatus: .badData, context: ["file": path])
  }
}

/// Files of text.
enum TextFile {
  /// Throws: `FileFault`, or `TextFault` where it is not UTF-8.
  static func read(_ path: String) throws -> String {
    let bytes = try InputFile.contents(of: path)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw TextFault.notUTF8(path)
    }
    return text
  }
}
