import ArgumentParser
import CommandLineSupport
import StrictJSON
import TensorCore
import Tokenization

struct DetokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "detokenize",
    abstract: "Turns token ids into text with a checkpoint's tokenizer.",
    discussion: """
      Example: echo 22557 1526 | shardtool detokenize ~/models/mistral-7b

      Reads ids separated by white space or commas and prints their text, nothing added. With \
      --json-lines each line of input is an array of ids, and each line of output a JSON string.
      """)

  @Argument(help: "A directory with tokenizer.json, tokenizer.model, or vocab.json and merges.txt.")
  var directory: String

  @Flag(help: "Leave special tokens out of the text.")
  var skipSpecial = false

  @Flag(help: "One array of ids a line in, one JSON string a line out.")
  var jsonLines = false

  @OptionGroup var common: CommonOptions

  func run() throws {
    let tokenizer = try Tokenizer.load(directory: directory)
    guard jsonLines else { return try printText(tokenizer) }
    try StandardInput.forEachLine { line, number in
      guard let values = try? JSONParsing().parse(line).array else {
        throw InputFault(
          "notAnArray", "line \(number) of standard input is no JSON array of ids; write [1, 2]")
      }
      var ids: [Int32] = []
      for value in values {
        guard let id = value.int.flatMap({ Int32(exactly: $0) }) else {
          throw InputFault("notAnID", "line \(number) of standard input holds an id that is none")
        }
        ids.append(id)
      }
      return Self.quoted(try tokenizer.decode(ids, skipSpecialTokens: skipSpecial))
    }
  }

  private func printText(_ tokenizer: Tokenizer) throws {
    let words = try StandardInput.text().split { $0.isWhitespace || $0 == "," }
    var ids: [Int32] = []
    for word in words {
      guard let id = Int32(word) else {
        throw InputFault("notAnID", "\(Excerpt.quoted(word)) on standard input is no id")
      }
      ids.append(id)
    }
    let text = try tokenizer.decode(ids, skipSpecialTokens: skipSpecial)
    if common.json {
      Console.write(["schema": "shardtool.detokenize/1", "text": .string(text)])
    } else {
      Console.write(text)
    }
  }

  /// A JSON string in ASCII, so that no reader takes a character in it for the end of a line.
  private static func quoted(_ text: String) -> String {
    var result = ""
    for scalar in JSONValue.string(text).serialized(.compact).unicodeScalars {
      if scalar.isASCII {
        result.unicodeScalars.append(scalar)
      } else {
        for unit in UTF16.encode(scalar) ?? .init() {
          let digits = String(unit, radix: 16)
          result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
      }
    }
    return result
  }
}
