import Checkpoints
import StrictJSON
import TensorCore

/// The tokenizer in a GGUF file: the keys `tokenizer.ggml.*`, read and checked.
struct GGUFVocabulary {
  enum Model: String {
    /// Byte pairs over bytes written as letters.
    case bytePairs = "gpt2"
    /// SentencePiece's pieces with scores.
    case pieces = "llama"
  }

  /// The kinds of tokens; the numbers are those of SentencePiece.
  enum Kind: Int {
    case normal = 1, unknown, control, userDefined, unused, byte
  }

  let path: String
  let model: Model
  let tokens: [String]
  let kinds: [Kind]
  let scores: [Float]
  let merges: [String]
  /// How text is split before pairs merge: `gpt-2`, `llama-bpe` …
  let splitting: String
  let beginning: Int?
  let end: Int?
  /// The end of a turn, where it differs.
  let endOfTurn: Int?
  let unknown: Int?
  let addsBeginning: Bool
  let addsEnd: Bool
  let addsSpacePrefix: Bool
  let chatTemplate: String?

  /// Nil where the file has no tokenizer.
  init?(_ file: GGUFFile) throws(PreparationFault) {
    func fault(_ key: String, _ problem: String) -> PreparationFault {
      PreparationFault(
        "ggufTokenizer", "\(file.path): tokenizer.ggml.\(key) \(problem)",
        context: ["file": file.path, "key": "tokenizer.ggml.\(key)"])
    }
    func value(_ key: String) -> GGUFValue? { file["tokenizer.ggml.\(key)"] }
    guard let name = value("model")?.string, name != "none", name != "no_vocab" else { return nil }
    guard let model = Model(rawValue: name) else {
      throw fault(
        "model", "is \(Excerpt.quoted(name)); this program knows gpt2 and llama tokenizers")
    }
    guard let tokens = value("tokens")?.strings, !tokens.isEmpty else {
      throw fault("tokens", "is missing")
    }
    path = file.path
    self.model = model
    self.tokens = tokens
    let numbers = value("token_type")?.numbers?.ints ?? [Int](repeating: 1, count: tokens.count)
    let kinds = numbers.compactMap(Kind.init)
    guard kinds.count == tokens.count, numbers.count == tokens.count else {
      throw fault("token_type", "has not one kind from 1 to 6 for each of \(tokens.count) tokens")
    }
    self.kinds = kinds
    let scores = (value("scores")?.numbers?.doubles ?? []).map { Float($0) }
    guard model == .bytePairs || (scores.count == tokens.count && scores.allSatisfy(\.isFinite))
    else { throw fault("scores", "has not a number for each of \(tokens.count) tokens") }
    self.scores = scores
    merges = value("merges")?.strings ?? []
    guard model == .pieces || value("merges")?.strings != nil else {
      throw fault("merges", "is missing")
    }
    splitting = value("pre")?.string ?? "default"
    func id(_ key: String) throws(PreparationFault) -> Int? {
      guard let id = value(key)?.int, id != 0xffff_ffff, id >= 0 else { return nil }
      guard id < tokens.count else {
        throw fault(key, "is \(id), and there are \(tokens.count) tokens")
      }
      return id
    }
    beginning = try id("bos_token_id") ?? (model == .pieces ? 1 : nil)
    end = try id("eos_token_id") ?? (model == .pieces ? 2 : nil)
    endOfTurn = try id("eot_token_id")
    unknown = try id("unknown_token_id")
    addsBeginning =
      value("add_bos_token")?.bool
      ?? (model == .pieces || ["llama-bpe", "llama3", "llama-v3", "tekken"].contains(splitting))
    addsEnd = value("add_eos_token")?.bool ?? false
    addsSpacePrefix = value("add_space_prefix")?.bool ?? true
    chatTemplate = file["tokenizer.chat_template"]?.string
  }

  /// Regular expressions by which text is split, one after the other, by the name in GGUF files.
  ///
  /// Source: the tokenizers of the models that the names stand for.
  static let patterns: [(names: [String], patterns: [String])] = [
    (["gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4", "modern-bert"], [gpt2]),
    (
      ["llama-bpe", "llama3", "llama-v3", "falcon3", "smaug-bpe", "dbrx"],
      [
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+"#
          + #"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
      ]
    ),
    (
      ["qwen2", "stablelm2", "deepseek-r1-qwen"],
      [
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+"#
          + #"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
      ]
    ),
    (["smollm", "starcoder", "refact", "command-r", "codeshell"], [#"\p{N}"#, gpt2]),
    (
      ["tekken"],
      [
        #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"#
          + #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"#
          + #"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
      ]
    ),
    (["default"], [#"[\p{P}\$\+<=>\^~\|]+"#, gpt2, #"\p{N}+"#, "[0-9][0-9][0-9]"]),
  ]

  static let gpt2 =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

  /// Names whose words are taken whole where they are tokens, without merging.
  static let wholeWords: Set<String> = ["llama-bpe", "llama3", "llama-v3", "falcon3", "tekken"]
}
