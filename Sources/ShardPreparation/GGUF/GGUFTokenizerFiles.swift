import Checkpoints
import StrictJSON
import TensorCore

/// The files of Hugging Face's tokenizers for the vocabulary of a GGUF file: `tokenizer.json` of
/// byte pairs, `tokenizer.model` of pieces with scores, and `tokenizer_config.json`.
struct GGUFTokenizerFiles {
  private let vocabulary: GGUFVocabulary

  init(_ vocabulary: GGUFVocabulary) { self.vocabulary = vocabulary }

  /// Names and contents.
  func files() throws(PreparationFault) -> [(name: String, bytes: [UInt8])] {
    var files: [(name: String, bytes: [UInt8])] = []
    switch vocabulary.model {
    case .bytePairs:
      files.append(("tokenizer.json", Self.text(try bytePairs())))
    case .pieces: files.append(("tokenizer.model", try pieces()))
    }
    files.append(("tokenizer_config.json", Self.text(settings)))
    var ids: [JSONValue] = []
    for id in [vocabulary.end, vocabulary.endOfTurn] {
      if let id, !ids.contains(JSONValue(id)) { ids.append(JSONValue(id)) }
    }
    if !ids.isEmpty {
      files.append(("generation_config.json", Self.text(["eos_token_id": .array(ids)])))
    }
    return files
  }

  private static func text(_ value: JSONValue) -> [UInt8] {
    Array(value.serialized(.pretty).utf8)
  }

  private func isSpecial(_ kind: GGUFVocabulary.Kind) -> Bool {
    kind == .control || kind == .unknown
  }

  /// A token that is found in text as a whole.
  private func added(_ id: Int) -> JSONObject {
    [
      "content": .string(vocabulary.tokens[id]), "single_word": false, "lstrip": false,
      "rstrip": false, "normalized": false, "special": .bool(isSpecial(vocabulary.kinds[id])),
    ]
  }

  private var addedIDs: [Int] {
    vocabulary.tokens.indices.filter {
      isSpecial(vocabulary.kinds[$0])
        || (vocabulary.kinds[$0] == .userDefined && vocabulary.model == .bytePairs)
    }
  }

  // MARK: Settings

  private var settings: JSONValue {
    var object: JSONObject = [
      "add_bos_token": .bool(vocabulary.addsBeginning), "add_eos_token": .bool(vocabulary.addsEnd),
      "clean_up_tokenization_spaces": false, "legacy": true,
    ]
    if vocabulary.model == .pieces { object["tokenizer_class"] = "LlamaTokenizer" }
    for (role, id) in [
      ("bos_token", vocabulary.beginning), ("eos_token", vocabulary.end),
      ("unk_token", vocabulary.unknown),
    ] {
      if let id { object[role] = .string(vocabulary.tokens[id]) }
    }
    if vocabulary.model == .pieces {
      var decoder = JSONObject()
      for id in addedIDs { decoder["\(id)"] = .object(added(id)) }
      object["added_tokens_decoder"] = .object(decoder)
    }
    if let template = vocabulary.chatTemplate { object["chat_template"] = .string(template) }
    return .object(object)
  }

  // MARK: Byte pairs

  private func bytePairs() throws(PreparationFault) -> JSONValue {
    let splitting = vocabulary.splitting
    guard
      let patterns = GGUFVocabulary.patterns.first(where: { $0.names.contains(splitting) })?
        .patterns
    else {
      let known = GGUFVocabulary.patterns.flatMap(\.names).sorted().joined(separator: ", ")
      throw PreparationFault(
        "ggufTokenizer",
        "\(vocabulary.path): tokenizer.ggml.pre is \(Excerpt.quoted(splitting)), a way to split "
          + "text that this program does not know (it knows \(known))",
        context: ["file": vocabulary.path])
    }
    var ids = JSONObject()
    for (id, token) in vocabulary.tokens.enumerated() where vocabulary.kinds[id] != .unused {
      guard ids[token] == nil else {
        throw PreparationFault(
          "ggufTokenizer",
          "\(vocabulary.path): the token \(Excerpt.quoted(token)) stands twice in "
            + "tokenizer.ggml.tokens", context: ["file": vocabulary.path])
      }
      ids[token] = JSONValue(id)
    }
    let model: JSONObject = [
      "type": "BPE", "dropout": .null, "unk_token": .null, "continuing_subword_prefix": .null,
      "end_of_word_suffix": .null, "fuse_unk": false, "byte_fallback": false,
      "ignore_merges": .bool(GGUFVocabulary.wholeWords.contains(splitting)),
      "vocab": .object(ids), "merges": .array(vocabulary.merges.map { .string($0) }),
    ]
    let byteLevel: JSONValue = [
      "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
      "use_regex": .bool(patterns == [GGUFVocabulary.gpt2]),
    ]
    return [
      "version": "1.0", "truncation": .null, "padding": .null,
      "added_tokens": .array(
        addedIDs.map { id in
          var token = added(id)
          token["id"] = JSONValue(id)
          return .object(token)
        }),
      "normalizer": splitting == "qwen2" ? ["type": "NFC"] : .null,
      "pre_tokenizer": patterns == [GGUFVocabulary.gpt2]
        ? byteLevel
        : [
          "type": "Sequence",
          "pretokenizers": .array(
            patterns.map {
              [
                "type": "Split", "pattern": ["Regex": .string($0)], "behavior": "Isolated",
                "invert": false,
              ]
            } + [byteLevel]),
        ],
      "post_processor": template, "model": .object(model),
      "decoder": [
        "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true,
      ],
    ]
  }

  /// What is put around a text.
  private var template: JSONValue {
    var single: [JSONValue] = [["Sequence": ["id": "A", "type_id": 0]]]
    var special = JSONObject()
    func item(_ id: Int) -> JSONValue {
      let token = vocabulary.tokens[id]
      special[token] = [
        "id": .string(token), "ids": [JSONValue(id)], "tokens": [.string(token)],
      ]
      return ["SpecialToken": ["id": .string(token), "type_id": 0]]
    }
    if vocabulary.addsBeginning, let id = vocabulary.beginning { single.insert(item(id), at: 0) }
    if vocabulary.addsEnd, let id = vocabulary.end { single.append(item(id)) }
    guard single.count > 1 else { return .null }
    return [
      "type": "TemplateProcessing", "single": .array(single),
      "pair": [
        ["Sequence": ["id": "A", "type_id": 0]], ["Sequence": ["id": "B", "type_id": 1]],
      ],
      "special_tokens": .object(special),
    ]
  }

  // MARK: Pieces

  /// A SentencePiece model: its protocol buffer has the pieces, what trained them, and how text is
  /// made ready.
  private func pieces() throws(PreparationFault) -> [UInt8] {
    guard vocabulary.kinds.filter({ $0 == .unknown }).count == 1 else {
      throw PreparationFault(
        "ggufTokenizer",
        "\(vocabulary.path): tokenizer.ggml.token_type marks not exactly one token as unknown",
        context: ["file": vocabulary.path])
    }
    var bytes: [UInt8] = []
    for (id, token) in vocabulary.tokens.enumerated() {
      let score = vocabulary.scores[id].bitPattern
      var piece = Self.field(1, Array(token.utf8))
      piece += [0x15] + (0..<4).map { UInt8(truncatingIfNeeded: score >> (8 * $0)) }
      if vocabulary.kinds[id] != .normal { piece += Self.field(3, vocabulary.kinds[id].rawValue) }
      bytes += Self.field(1, piece)
    }
    let hasBytes = vocabulary.kinds.contains(.byte)
    var trainer = Self.field(3, 2) + Self.field(35, hasBytes ? 1 : 0)
    trainer += Self.field(41, vocabulary.beginning ?? -1)
    trainer += Self.field(42, vocabulary.end ?? -1)
    let normalizer =
      Self.field(3, vocabulary.addsSpacePrefix ? 1 : 0) + Self.field(4, 0) + Self.field(5, 1)
    return bytes + Self.field(2, trainer) + Self.field(3, normalizer)
  }

  private static func varint(_ number: Int) -> [UInt8] {
    var rest = UInt64(bitPattern: Int64(number))
    var bytes: [UInt8] = []
    while rest > 0x7f {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  private static func field(_ number: Int, _ value: Int) -> [UInt8] {
    varint(number << 3) + varint(value)
  }

  private static func field(_ number: Int, _ content: [UInt8]) -> [UInt8] {
    varint(number << 3 | 2) + varint(content.count) + content
  }
}
