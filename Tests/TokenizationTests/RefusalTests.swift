import StrictJSON
import TensorCore
import TestSupport
import Testing
import Tokenization

/// Files that contradict themselves, claim too much or ask for what is not there.
@Suite struct RefusalTests {
  private static let vocabulary = #"{"a":0,"b":1,"ab":2,"<unk>":3}"#

  private func tokenizerJSON(
    vocabulary: String = vocabulary, merges: String = #"["a b"]"#, added: String = "[]",
    components: String = "", options: String = ""
  ) -> String {
    """
    {"version":"1.0","added_tokens":\(added)\(components.isEmpty ? "" : "," + components),
     "model":{"type":"BPE","vocab":\(vocabulary),"merges":\(merges)\(options)}}
    """
  }

  private func refusal(_ text: String) -> (any Fault)? {
    do {
      _ = try Tokenizer.load(files: ["tokenizer.json": Array(text.utf8)])
      return nil
    } catch { return error as? any Fault }
  }

  private func expectRefusal(_ text: String, naming part: String) {
    guard let fault = refusal(text) else {
      Issue.record("accepted: \(text)")
      return
    }
    #expect(fault.exitStatus == .badData)
    #expect(fault.message.contains(part), "\(fault.message) does not name \(part)")
  }

  @Test func aSoundFileIsAccepted() {
    #expect(refusal(tokenizerJSON()) == nil)
    #expect(refusal(tokenizerJSON(vocabulary: #"{"a":0,"b":7,"ab":100}"#)) == nil)
  }

  @Test(arguments: [
    ("normalizer", "Wibble"), ("pre_tokenizer", "UnicodeScripts"), ("post_processor", "Wobble"),
    ("decoder", "CTC"),
  ])
  func unknownComponents(_ member: String, _ type: String) {
    expectRefusal(tokenizerJSON(components: #""\#(member)":{"type":"\#(type)"}"#), naming: type)
  }

  @Test func unknownComponentInASequence() {
    let parts = #"[{"type":"NFC"},{"type":"Odd"}]"#
    let sequence = #""normalizer":{"type":"Sequence","normalizers":\#(parts)}"#
    expectRefusal(tokenizerJSON(components: sequence), naming: "Odd")
  }

  @Test func normalizersThatLetTextGrowWithoutMeasure() {
    let double = #"{"type":"Replace","pattern":{"String":"a"},"content":"aa"}"#
    let all = Array(repeating: double, count: 40).joined(separator: ",")
    let sequence = #""normalizer":{"type":"Sequence","normalizers":[\#(all)]}"#
    expectRefusal(tokenizerJSON(components: sequence), naming: "grow")
  }

  @Test func unknownModel() {
    expectRefusal(
      #"{"model":{"type":"WordPiece","vocab":{"a":0},"unk_token":"a"}}"#, naming: "WordPiece")
  }

  @Test func contradictions() {
    expectRefusal(tokenizerJSON(vocabulary: #"{"a":0,"b":0,"ab":2}"#), naming: "same id 0")
    expectRefusal(tokenizerJSON(vocabulary: #"{"a":0,"b":1,"ab":2,"a":3}"#), naming: "twice")
    expectRefusal(tokenizerJSON(vocabulary: #"{"a":0,"b":1,"ab":-2}"#), naming: "-2")
    expectRefusal(tokenizerJSON(vocabulary: #"{"a":0,"b":1,"ab":2.5}"#), naming: "ab")
    expectRefusal(tokenizerJSON(vocabulary: #"{"a":0,"b":1,"ab":90000000}"#), naming: "90000000")
    expectRefusal(tokenizerJSON(merges: #"["a c"]"#), naming: "\"c\"")
    expectRefusal(tokenizerJSON(merges: #"["b a"]"#), naming: "\"ba\"")
    expectRefusal(tokenizerJSON(merges: #"["a b c"]"#), naming: "merge 0")
    expectRefusal(tokenizerJSON(merges: #"[["a"]]"#), naming: "merge 0")
    expectRefusal(tokenizerJSON(merges: #"[7]"#), naming: "merge 0")
    expectRefusal(tokenizerJSON(options: #","unk_token":"?""#), naming: "\"?\"")
    expectRefusal(tokenizerJSON(options: #","dropout":0.1"#), naming: "dropout")
    expectRefusal(tokenizerJSON(options: #","byte_fallback":1"#), naming: "byte_fallback")
    expectRefusal(tokenizerJSON(added: #"[{"id":1,"content":"<x>"}]"#), naming: "<x>")
    expectRefusal(
      tokenizerJSON(added: #"[{"id":5,"content":"x"},{"id":5,"content":"y"}]"#),
      naming: "same id 5")
    expectRefusal(tokenizerJSON(added: #"[{"content":"<x>"}]"#), naming: "no id")
    expectRefusal(tokenizerJSON(added: #"[{"id":99999999,"content":"<x>"}]"#), naming: "99999999")
    let long = String(repeating: "x", count: 5000)
    expectRefusal(tokenizerJSON(added: #"[{"id":9,"content":"\#(long)"}]"#), naming: "5000")
  }

  @Test func documentsThatAreNone() {
    for text in [
      "", "{", "[]", "{}", "null", #"{"model":{}}"#, #"{"model":{"type":"BPE"}}"#, "\u{FEFF}{}",
    ] {
      #expect(refusal(text)?.exitStatus == .badData, "accepted \(text)")
    }
    expectRefusal(#"{"version":"1.0","version":"1.0"}"#, naming: "twice")
    let deep = String(repeating: "[", count: 10000)
    #expect(refusal(#"{"normalizer":"# + deep) != nil)
  }

  @Test func patternsThatAreNotSupported() {
    func split(_ regex: String) -> String {
      let pattern = JSONValue.string(regex).serialized(.compact)
      return #""pre_tokenizer":{"type":"Split","behavior":"Isolated","invert":false,"#
        + #""pattern":{"Regex":\#(pattern)}}"#
    }
    for regex in [
      #"(a)\1"#, "(", "[a", "a**?(", "*a", #"\p{Wibble}"#, "(?<=a+)b", #"(?~abc)"#, "a{2000}",
      String(repeating: "(", count: 500) + String(repeating: ")", count: 500),
      #"((a{100}){100}){100}"#, #"\"#, "[z-a]", "(?<n>a)\\k<n>",
    ] {
      let fault = refusal(tokenizerJSON(components: split(regex)))
      #expect(fault?.code == "tokenization.unsupportedRegex", "\(regex)")
    }
  }

  @Test func missingFiles() throws {
    #expect(throws: TokenizationFault.self) { try Tokenizer.load(files: [:]) }
    let directory = try TemporaryDirectory()
    do {
      _ = try Tokenizer.load(directory: directory.path)
      Issue.record("an empty directory was taken for a tokenizer")
    } catch let fault as TokenizationFault { #expect(fault.exitStatus == .noInput) }
    do {
      _ = try Tokenizer.load(directory: directory.appending("none"))
      Issue.record("a missing directory was taken for a tokenizer")
    } catch let fault as TokenizationFault { #expect(fault.exitStatus == .noInput) }
    #expect(Tokenizer.hasFiles(["config.json", "tokenizer.model"]))
    #expect(Tokenizer.hasFiles(["merges.txt", "vocab.json"]))
    #expect(!Tokenizer.hasFiles(["vocab.json", "tokenizer_config.json"]))
  }

  @Test func unknownIDs() throws {
    let tokenizer = try Tokenizer.load(files: ["tokenizer.json": Array(tokenizerJSON().utf8)])
    for id in [Int32(4), -1, .max, .min] {
      #expect(throws: TokenizationFault.self) {
        try tokenizer.decode([0, id], skipSpecialTokens: false)
      }
      var decoder = tokenizer.makeStreamDecoder(skipSpecialTokens: false)
      #expect(decoder.feed(id).isEmpty)
    }
  }

  @Test func tokenizerClassesThatNeedTheirOwnFile() throws {
    let files = [
      "vocab.json": Array(#"{"a":0,"b":1,"ab":2}"#.utf8),
      "merges.txt": Array("#version: 0.2\na b\n".utf8),
    ]
    #expect(try Tokenizer.load(files: files).encode("ab", addSpecialTokens: false) == [2])
    let settings = Array(#"{"tokenizer_class":"BartTokenizer"}"#.utf8)
    #expect(throws: TokenizationFault.self) {
      try Tokenizer.load(files: files.merging(["tokenizer_config.json": settings]) { $1 })
    }
  }
}
