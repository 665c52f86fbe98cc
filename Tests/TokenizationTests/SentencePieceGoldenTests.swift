import StrictJSON
import TensorCore
import TestSupport
import Testing
import Tokenization

/// Small `tokenizer.model` files of every kind against what the sentencepiece library does.
@Suite struct SentencePieceGoldenTests {
  static func model(_ name: String) throws -> [UInt8] {
    try InputFile.contents(of: Places.fixture("tokenizers/sentencepiece/\(name).model"))
  }

  @Test func everyModelGivesTheLibrarysIdsAndText() throws {
    let bytes = try InputFile.contents(of: Places.fixture("tokenizers/sentencepiece.json"))
    let models = try #require(try JSONParsing().parse(bytes)["models"]?.object)
    #expect(models.count >= 19)
    var outcome = GoldenCase.Outcome()
    for (name, tests) in models.members {
      let tokenizer = try Tokenizer.load(files: ["tokenizer.model": try Self.model(name)])
      for test in tests.array ?? [] {
        let golden = GoldenCase(
          text: test["text"]?.string, ids: GoldenCase.ids(test["ids"]),
          decoded: test["decoded"]?.string, decodeIDs: GoldenCase.ids(test["decode"]))
        golden.check(tokenizer, name, &outcome)
      }
    }
    expectNone(outcome, "sentencepiece")
    #expect(outcome.comparisons > 600)
  }

  @Test func beginsWithTheModelsOwnTokenUnlessToldOtherwise() throws {
    let model = try Self.model("bpe-bytes")
    func special(_ settings: String?) throws -> [Int32] {
      var files = ["tokenizer.model": model]
      files["tokenizer_config.json"] = settings.map { Array($0.utf8) }
      let tokenizer = try Tokenizer.load(files: files)
      let plain = tokenizer.encode("the fox", addSpecialTokens: false)
      let all = tokenizer.encode("the fox", addSpecialTokens: true)
      return all.filter { !plain.contains($0) }
    }
    #expect(try special(nil) == [1])
    #expect(try special(#"{"tokenizer_class":"LlamaTokenizer"}"#) == [1])
    #expect(try special(#"{"add_bos_token":false}"#) == [])
    #expect(try special(#"{"add_bos_token":true,"add_eos_token":true}"#) == [1, 2])
    #expect(try special(#"{"tokenizer_class":"T5Tokenizer"}"#) == [])
  }

  @Test func findsAddedTokensOnlyWhereAFileListsThem() throws {
    let model = try Self.model("bpe-bytes")
    let literal = try Tokenizer.load(files: ["tokenizer.model": model])
    #expect(!literal.encode("<s>", addSpecialTokens: false).contains(1))
    let settings = """
      {"added_tokens_decoder":{"1":{"content":"<s>","special":true},
       "450":{"content":"[CHAT]","special":true}}}
      """
    let listed = try Tokenizer.load(
      files: ["tokenizer.model": model, "tokenizer_config.json": Array(settings.utf8)])
    let ids = listed.encode("<s>fox[CHAT]", addSpecialTokens: false)
    #expect(ids.first == 1)
    #expect(ids.last == 450)
    #expect(try listed.decode(ids, skipSpecialTokens: true) == "fox")
    #expect(listed.vocabularySize == 451)
  }
}
