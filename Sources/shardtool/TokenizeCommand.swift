import ArgumentParser
import CommandLineSupport
import StrictJSON
import TensorCore
import Tokenization

struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize",
    abstract: "Turns text into token ids with a checkpoint's tokenizer.",
    discussion: """
      Example: echo -n "Hello world" | shardtool tokenize ~/models/mistral-7b

      Reads standard input as it is, line ends included, and prints the ids on one line. With \
      --json-lines each line of input is a JSON string, and each line of output an array of ids.
      """)

  @Argument(help: "A directory with tokenizer.json, tokenizer.model, or vocab.json and merges.txt.")
  var directory: String

  @Flag(help: "Add the special tokens that the model expects around a text, such as BOS.")
  var special = false

  @Flag(help: "One JSON string a line in, one array of ids a line out.")
  var jsonLines = false

  @OptionGroup var common: CommonOptions

  func run() throws {
    let tokenizer = try Tokenizer.load(directory: directory)
    guard jsonLines else { return try printIDs(of: StandardInput.text(), tokenizer) }
    try StandardInput.forEachLine { line, number in
      guard let text = try? JSONParsing().parse(line).string else {
        throw InputFault(
          "notAString", "line \(number) of standard input is no JSON string; write it as \"…\"")
      }
      let ids = tokenizer.encode(text, addSpecialTokens: special)
      return "[" + ids.map { String($0) }.joined(separator: ",") + "]"
    }
  }

  private func printIDs(of text: String, _ tokenizer: Tokenizer) {
    let ids = tokenizer.encode(text, addSpecialTokens: special)
    if common.json {
      Console.write([
        "schema": "shardtool.tokenize/1",
        "token_ids": .array(ids.map { JSONValue(Int($0)) }),
      ])
    } else {
      Console.write(ids.map { String($0) }.joined(separator: " ") + "\n")
    }
  }
}
