import Checkpoints
import Quantization
import ShardPreparation
import StrictJSON
import TensorCore
import TensorKernels
import TestSupport
import Testing
import Tokenization

/// Tokenizers to GGUF and back: the same ids for the same text.
@Suite struct GGUFTokenizerTests {
  let place: TemporaryDirectory
  init() throws { place = try TemporaryDirectory() }

  private static let texts = [
    "Once upon a time", " leading and  double  spaces ", "numbers 12345 and 6.5e-3",
    "it's <s> </s>",
    "caf\u{e9} \u{4f60}\u{597d} \u{1F600}\u{1F3FD}", "tabs\tand\n\nlines\r\n", "", "\u{2581}mark",
    "Привет, мир! don't WON'T", "<unk> <0x0A>",
  ]

  /// A small Llama with a tokenizer beside it, exported and imported again.
  private func roundTrip(_ tokenizerFiles: [String: [UInt8]], vocabulary: Int) throws
    -> (before: Tokenizer, after: Tokenizer)
  {
    var checkpoint = SmallCheckpoint()
    checkpoint.configuration["vocab_size"] = JSONValue(vocabulary)
    for name in ["model.embed_tokens.weight", "lm_head.weight"] {
      checkpoint.tensors[name] = (
        .f32, [vocabulary, 32], [Float](repeating: 0.5, count: vocabulary * 32)
      )
    }
    let source = place.appending("source")
    try checkpoint.write(to: source)
    for (name, bytes) in tokenizerFiles {
      try Directory.writeAtomically(bytes, to: "\(source)/\(name)")
    }
    let file = place.appending("model.gguf")
    _ = try GGUFExport(source, type: .f16).run(to: file, pool: WorkerPool(threads: 1))
    let target = place.appending("imported")
    _ = try GGUFImport(path: file).run(to: target, pool: WorkerPool(threads: 1))
    return (try Tokenizer.load(directory: source), try Tokenizer.load(directory: target))
  }

  private func expectSame(
    _ before: Tokenizer, _ after: Tokenizer, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for text in Self.texts {
      for special in [true, false] {
        let expected = before.encode(text, addSpecialTokens: special)
        let found = after.encode(text, addSpecialTokens: special)
        #expect(found == expected, "\(Excerpt.quoted(text))", sourceLocation: sourceLocation)
      }
      let ids = before.encode(text, addSpecialTokens: false)
      let expected = try before.decode(ids, skipSpecialTokens: true)
      #expect(
        try after.decode(ids, skipSpecialTokens: true) == expected, sourceLocation: sourceLocation)
    }
    #expect(before.beginningOfSequence == after.beginningOfSequence, sourceLocation: sourceLocation)
    #expect(before.endOfSequence == after.endOfSequence, sourceLocation: sourceLocation)
  }

  @Test func bytePairsComeBack() throws {
    let source = Places.fixture("tiny-fable")
    var files: [String: [UInt8]] = [:]
    for name in ["tokenizer.json", "tokenizer_config.json"] {
      files[name] = try InputFile.contents(of: "\(source)/\(name)")
    }
    let (before, after) = try roundTrip(files, vocabulary: 1024)
    try expectSame(before, after)
  }

  @Test func piecesComeBack() throws {
    let model = try InputFile.contents(
      of: Places.fixture("tokenizers/sentencepiece/bpe-bytes.model"))
    let settings = #"""
      {"tokenizer_class": "LlamaTokenizer", "add_bos_token": true, "bos_token": "<s>",
       "eos_token": "</s>", "unk_token": "<unk>", "legacy": true}
      """#
    let size = try SentencePieceContent(model, name: "bpe-bytes").pieces.count
    let (before, after) = try roundTrip(
      ["tokenizer.model": model, "tokenizer_config.json": Array(settings.utf8)], vocabulary: size)
    for text in Self.texts where !text.contains("<") {
      #expect(
        after.encode(text, addSpecialTokens: true) == before.encode(text, addSpecialTokens: true),
        "\(Excerpt.quoted(text))")
    }
  }

  /// Real vocabularies, where the reference set is there.
  @Test func referenceTokenizersComeBack() throws {
    let chosen = ["gpt2", "phi-2", "llama2", "mistral-v0.1", "tinystories512"]
    for path in Places.referenceDirectories("tokenizers") {
      let name = Directory.name(of: path)
      guard chosen.contains(name) else { continue }
      var files: [String: [UInt8]] = [:]
      for file in ["tokenizer.json", "tokenizer_config.json"]
      where Directory.isFile("\(path)/\(file)") {
        files[file] = try InputFile.contents(of: "\(path)/\(file)")
      }
      let size = try Tokenizer.load(files: files).vocabularySize
      let (before, after) = try roundTrip(files, vocabulary: size)
      for text in Self.texts where !text.contains("<") {
        let expected = before.encode(text, addSpecialTokens: false)
        #expect(
          after.encode(text, addSpecialTokens: false) == expected,
          "\(name): \(Excerpt.quoted(text))")
      }
      try Directory.remove(place.appending("source"))
      try Directory.remove(place.appending("imported"))
    }
  }

  @Test(arguments: [("unigram-bytes", "unigram"), ("bpe-rules", "rules"), ("bpe-suffix", "rules")])
  func aTokenizerWithoutAFormIsRefused(name: String, word: String) throws {
    let model = try InputFile.contents(
      of: Places.fixture("tokenizers/sentencepiece/\(name).model"))
    let size = try SentencePieceContent(model, name: name).pieces.count
    let fault = try #require(throws: PreparationFault.self) {
      try roundTrip(["tokenizer.model": model], vocabulary: size)
    }
    #expect(fault.code == "preparation.ggufTokenizer" && fault.message.contains(word))
  }
}
