import StrictJSON
import TensorCore
import TestSupport
import Testing
import Tokenization

/// Normalization forms, through a tokenizer that spells out what it gets.
@Suite struct UnicodeNormalizationTests {
  private static let forms = ["NFC", "NFD", "NFKC", "NFKD"]

  private func parse(_ name: String) throws -> JSONValue {
    try JSONParsing().parse(try InputFile.contents(of: Places.fixture(name)))
  }

  /// What a tokenizer with this normalizer makes of texts.
  private func normalizer(_ form: String) throws -> (String) throws -> [UInt8] {
    let fixture = try parse("tokenizers/components.json")
    let models = try #require(fixture["models"]?.object)
    let cases = try #require(fixture["cases"]?.array)
    let entry = try #require(cases.first { $0["name"]?.string == "normalizer \(form)" })
    let tokenizer = try Tokenizer.load(
      files: ["tokenizer.json": try ComponentGoldenTests.tokenizerFile(entry, models)])
    return { text in
      let ids = tokenizer.encode(text, addSpecialTokens: false)
      return Array(try tokenizer.decode(ids, skipSpecialTokens: false).utf8)
    }
  }

  @Test(arguments: forms) func everyScalar(_ form: String) throws {
    let fixture = try parse("unicode/normalization.json")
    let normalize = try normalizer(form)
    var text = ""
    for run in try #require(fixture["scalars"]?.array) {
      let ends = (run.array ?? []).compactMap(\.int)
      for value in ends[0]...ends[1] {
        guard let scalar = Unicode.Scalar(UInt32(value)) else { continue }
        text.unicodeScalars.append("a")
        text.unicodeScalars.append(scalar)
        text.unicodeScalars.append(" ")
      }
    }
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in try normalize(text) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    let expected = try #require(fixture["all"]?[form]?.string)
    #expect(hash == UInt64(expected, radix: 16))
  }

  @Test(arguments: forms) func sequencesOfMarks(_ form: String) throws {
    let fixture = try parse("unicode/normalization.json")
    let normalize = try normalizer(form)
    let index = 1 + (Self.forms.firstIndex(of: form) ?? 0)
    let sequences = try #require(fixture["sequences"]?.array)
    #expect(sequences.count == 400)
    for sequence in sequences {
      let texts = (sequence.array ?? []).compactMap(\.string)
      #expect(
        try normalize(texts[0]) == Array(texts[index].utf8), "\(form) \(texts[0].debugDescription)")
    }
  }
}
