import StrictJSON
import TensorCore
import TestSupport
import Testing
import Tokenization

/// Small tokenizers of every component against what the `tokenizers` library does.
@Suite struct ComponentGoldenTests {
  private static func load() throws -> JSONObject {
    let bytes = try InputFile.contents(of: Places.fixture("tokenizers/components.json"))
    return try #require(try JSONParsing().parse(bytes).object)
  }

  /// A tokenizer file for a case: its model with the case's options, its components.
  static func tokenizerFile(_ entry: JSONValue, _ models: JSONObject) throws -> [UInt8] {
    var model = try #require(entry["model"]?.string.flatMap { models[$0]?.object })
    for (key, value) in try #require(entry["options"]?.object).members { model[key] = value }
    var file: JSONObject = ["version": "1.0", "truncation": .null, "padding": .null]
    for key in ["added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder"] {
      file[key] = entry[key]
    }
    file["model"] = .object(model)
    return Array(JSONValue.object(file).serialized(.compact).utf8)
  }

  @Test func everyComponentGivesTheLibrarysIdsAndText() throws {
    let fixture = try Self.load()
    let models = try #require(fixture["models"]?.object)
    let cases = try #require(fixture["cases"]?.array)
    #expect(cases.count > 150)
    var outcome = GoldenCase.Outcome()
    for entry in cases {
      let name = entry["name"]?.string ?? ""
      let tokenizer = try Tokenizer.load(
        files: ["tokenizer.json": try Self.tokenizerFile(entry, models)])
      for test in entry["tests"]?.array ?? [] {
        let ids = GoldenCase.ids(test["ids"])
        let decoded = test["decoded"]?.string
        let golden = GoldenCase(
          text: test["text"]?.string, ids: ids,
          idsWithSpecial: GoldenCase.ids(test["special"]) ?? ids, decoded: decoded,
          decodeIDs: GoldenCase.ids(test["decode"]), skipped: test["skipped"]?.string ?? decoded)
        golden.check(tokenizer, name, &outcome)
      }
    }
    expectNone(outcome, "components")
    #expect(outcome.comparisons > 4000)
  }

  @Test func mergesMayBePairsOrStrings() throws {
    let fixture = try Self.load()
    var models = try #require(fixture["models"]?.object)
    let entry = try #require(fixture["cases"]?.array?.first { $0["name"]?.string == "llama" })
    let pairs = try Tokenizer.load(
      files: ["tokenizer.json": try Self.tokenizerFile(entry, models)])
    var model = try #require(models["marks"]?.object)
    let lines = try #require(model["merges"]?.array).map { merge in
      JSONValue.string((merge.array ?? []).compactMap(\.string).joined(separator: " "))
    }
    model["merges"] = .array(lines)
    models["marks"] = .object(model)
    let strings = try Tokenizer.load(
      files: ["tokenizer.json": try Self.tokenizerFile(entry, models)])
    let text = "Once upon a time there was a fox, 12 crows and ½ a cheese."
    #expect(
      pairs.encode(text, addSpecialTokens: true) == strings.encode(text, addSpecialTokens: true))
  }
}
