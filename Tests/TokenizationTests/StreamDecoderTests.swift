import StrictJSON
import TensorCore
import TestSupport
import Testing
import Tokenization

/// What a stream gives out, joined, is the decoded text, and each part is whole characters.
@Suite struct StreamDecoderTests {
  private func tokenizers() throws -> [(String, Tokenizer)] {
    var result = [("tiny-fable", try Tokenizer.load(directory: Places.fixture("tiny-fable")))]
    for name in ["bpe-bytes", "unigram-bytes", "bpe-user"] {
      let model = try SentencePieceGoldenTests.model(name)
      result.append((name, try Tokenizer.load(files: ["tokenizer.model": model])))
    }
    return result
  }

  @Test func joinedPartsAreTheDecodedText() throws {
    var generator = SeededGenerator(seed: 3)
    for (name, tokenizer) in try tokenizers() {
      let known = (0..<Int32(tokenizer.vocabularySize)).filter { tokenizer.token(of: $0) != nil }
      for skips in [false, true] {
        var decoder = tokenizer.makeStreamDecoder(skipSpecialTokens: skips)
        for _ in 0..<300 {
          let ids = (0..<Int.random(in: 0..<12, using: &generator)).map { _ in
            known.randomElement(using: &generator) ?? 0
          }
          var text = ""
          for id in ids { text += decoder.feed(id) }
          text += decoder.finish()
          let whole = try tokenizer.decode(ids, skipSpecialTokens: skips)
          #expect(Array(text.utf8) == Array(whole.utf8), "\(name) \(ids)")
        }
      }
    }
  }

  @Test func charactersComeWhole() throws {
    let text = "naïve 😀👍🏽 日本語"
    for (name, tokenizer) in try tokenizers() {
      let ids = tokenizer.encode(text, addSpecialTokens: false)
      var decoder = tokenizer.makeStreamDecoder(skipSpecialTokens: true)
      var parts: [String] = []
      for id in ids { parts.append(decoder.feed(id)) }
      parts.append(decoder.finish())
      #expect(!parts.joined().contains("\u{FFFD}"), "\(name)")
      #expect(parts.joined() == text, "\(name)")
      #expect(parts.count > text.count, "\(name): the text has tokens of single bytes")
    }
  }
}
