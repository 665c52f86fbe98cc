import StrictJSON
import TensorCore
import TestSupport
import Testing
import Tokenization

/// The larger reference set: real vocabularies against the libraries' results.
@Suite struct ReferenceGoldenTests {
  private static let directories = Places.referenceDirectories("tokenizers")

  /// Some of a directory's files, as if the others were not there.
  private static func tokenizer(_ directory: String, _ names: [String]) throws -> Tokenizer? {
    var files: [String: [UInt8]] = [:]
    for name in names where Directory.isFile("\(directory)/\(name)") {
      files[name] = try InputFile.contents(of: "\(directory)/\(name)")
    }
    return Tokenizer.hasFiles(Array(files.keys)) ? try Tokenizer.load(files: files) : nil
  }

  private static func cases(_ directory: String, sentencePiece: Bool) throws -> [GoldenCase] {
    let golden = try JSONParsing().parse(try InputFile.contents(of: "\(directory)/golden.json"))
    func goldenCase(_ test: JSONValue) -> GoldenCase {
      sentencePiece
        ? GoldenCase(
          text: test["text"]?.string, ids: GoldenCase.ids(test["sp_ids"]),
          decoded: test["sp_decoded"]?.string)
        : GoldenCase(
          text: test["text"]?.string, ids: GoldenCase.ids(test["ids"]),
          idsWithSpecial: GoldenCase.ids(test["ids_with_special"]),
          decoded: test["decoded"]?.string, skipped: test["decoded_skip_special"]?.string)
    }
    let tests = (golden["tests"]?.array ?? []).map(goldenCase)
    let decodes = (golden["decode_only"]?.array ?? []).map { test in
      GoldenCase(
        decoded: test[sentencePiece ? "sp_decoded" : "decoded"]?.string ?? test["decoded"]?.string,
        decodeIDs: GoldenCase.ids(test["ids"]))
    }
    return tests + decodes
  }

  @Test(.enabled(if: !directories.isEmpty), arguments: directories)
  func realVocabulary(_ directory: String) throws {
    let name = Directory.name(of: directory)
    var outcome = GoldenCase.Outcome()
    let files: [(label: String, names: [String], isSentencePiece: Bool)] = [
      ("tokenizer.json", ["tokenizer.json", "tokenizer_config.json"], false),
      ("tokenizer.model", ["tokenizer.model", "tokenizer_config.json"], true),
      ("tokenizer.model alone", ["tokenizer.model"], true),
      (
        "vocab.json", ["vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json"],
        false
      ),
      ("vocab.json alone", ["vocab.json", "merges.txt", "added_tokens.json"], false),
    ]
    for (label, names, isSentencePiece) in files {
      guard let tokenizer = try Self.tokenizer(directory, names) else { continue }
      for golden in try Self.cases(directory, sentencePiece: isSentencePiece) {
        golden.check(tokenizer, "\(name) \(label)", &outcome)
      }
    }
    let path = "\(directory)/llama_cpp_vectors.json"
    if Directory.isFile(path), let tokenizer = try Self.tokenizer(directory, ["tokenizer.json"]) {
      let vectors = try JSONParsing().parse(try InputFile.contents(of: path))
      for test in vectors["tests"]?.array ?? [] {
        GoldenCase(text: test["text"]?.string, ids: GoldenCase.ids(test["ids"]))
          .check(tokenizer, "\(name) vectors", &outcome)
      }
    }
    expectNone(outcome, name)
    print("reference tokenizer \(name): \(outcome.comparisons) comparisons")
  }
}
