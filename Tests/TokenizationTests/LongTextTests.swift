import StrictJSON
import TensorCore
import TestSupport
import Testing
import Tokenization

/// Texts and patterns that would take a naive implementation for ever.
@Suite struct LongTextTests {
  private func split(by regex: String) throws -> Tokenizer {
    let pattern = JSONValue.string(regex).serialized(.compact)
    let file = """
      {"pre_tokenizer":{"type":"Split","behavior":"Isolated","invert":false,
        "pattern":{"Regex":\(pattern)}},
       "model":{"type":"BPE","vocab":{"a":0,"b":1,"c":2,"aa":3},"merges":["a a"]}}
      """
    return try Tokenizer.load(files: ["tokenizer.json": Array(file.utf8)])
  }

  @Test(
    .timeLimit(.minutes(2)),
    arguments: [
      "(a*)*b", "(a+)+b", "(a|aa)+b", "(a|a)*b", "(?:a*a*)*b", "a*a*a*a*a*b", "(?=(a+)+b)a",
      "(?>a*b)c",
      "(?:a?){30}a{30}b", "(?<=a)(?:a+)+$b", "(a*?)*?b", "(?:(?:a*)*)*b", "a++b|(?!a*b)c",
    ])
  func catastrophicPatterns(_ regex: String) throws {
    let tokenizer = try split(by: regex)
    let count = 20_000
    let ids = tokenizer.encode(String(repeating: "a", count: count), addSpecialTokens: false)
    #expect(ids.reduce(0) { $0 + ($1 == 3 ? 2 : 1) } == count)
  }

  @Test func longWordsRoundTrip() throws {
    let fable = try Tokenizer.load(directory: Places.fixture("tiny-fable"))
    let pieces = try Tokenizer.load(
      files: ["tokenizer.model": try SentencePieceGoldenTests.model("bpe-bytes")])
    for text in [
      String(repeating: "a", count: 200_000), String(repeating: "once", count: 50_000),
      String(repeating: " ", count: 200_000), String(repeating: "日", count: 50_000),
      String(repeating: "e\u{301}", count: 50_000),
    ] {
      for tokenizer in [fable, pieces] {
        let ids = tokenizer.encode(text, addSpecialTokens: false)
        #expect(try tokenizer.decode(ids, skipSpecialTokens: false) == text)
      }
    }
  }

  @Test func anEncodingDoesNotDependOnTheOneBefore() throws {
    let tokenizer = try Tokenizer.load(directory: Places.fixture("tiny-fable"))
    let text = String(
      decoding: try InputFile.contents(of: Places.fixture("tiny-fable/eval.txt")), as: UTF8.self)
    let first = tokenizer.encode(text, addSpecialTokens: false)
    let fresh = try Tokenizer.load(directory: Places.fixture("tiny-fable"))
    for line in text.split(separator: "\n").reversed() {
      _ = fresh.encode(String(line), addSpecialTokens: false)
    }
    #expect(fresh.encode(text, addSpecialTokens: false) == first)
    #expect(tokenizer.encode(text, addSpecialTokens: false) == first)
  }

  @Test func severalThreadsAtOnce() async throws {
    let tokenizer = try Tokenizer.load(directory: Places.fixture("tiny-fable"))
    let text = "Once upon a time there was a fox who lived near a river. "
    let expected = tokenizer.encode(text, addSpecialTokens: true)
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask {
          (0..<50).allSatisfy { _ in tokenizer.encode(text, addSpecialTokens: true) == expected }
        }
      }
      for await isEqual in group { #expect(isEqual) }
    }
  }
}
