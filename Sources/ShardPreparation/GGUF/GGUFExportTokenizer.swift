import Checkpoints
import StrictJSON
import TensorCore
import Tokenization

/// The keys `tokenizer.ggml.*` for a checkpoint's tokenizer.
struct GGUFExportTokenizer {
  private(set) var entries: [(String, GGUFEntry)] = []
  private let source: String
  private let vocabularySize: Int

  /// A vocabulary as GGUF wants it: a token for each id of the model.
  private struct Table {
    var tokens: [String]
    var kinds: [GGUFVocabulary.Kind]
    var scores: [Float]

    init(_ count: Int) {
      tokens = (0..<count).map { "[PAD\($0)]" }
      kinds = [GGUFVocabulary.Kind](repeating: .unused, count: count)
      scores = [Float](repeating: 0, count: count)
    }

    mutating func set(_ id: Int, _ token: String, _ kind: GGUFVocabulary.Kind, score: Float = 0) {
      guard tokens.indices.contains(id) else { return }
      tokens[id] = token
      kinds[id] = kind
      scores[id] = score
    }
  }

  /// - Parameter files: the tokenizer's files by name.
  /// Throws: `PreparationFault` for a tokenizer that GGUF has no form for.
  init(_ files: [String: [UInt8]], vocabularySize: Int, source: String) throws {
    self.source = source
    self.vocabularySize = vocabularySize
    guard Tokenizer.hasFiles(Array(files.keys)) else {
      entries = [("tokenizer.ggml.model", .string("none"))]
      return
    }
    let tokenizer = try Tokenizer.load(files: files)
    let json = try object(files, "tokenizer.json")
    if let bytes = files["tokenizer.model"] {
      try pieces(SentencePieceContent(bytes, name: "tokenizer.model"), json, files)
    } else if let json, json["pre_tokenizer"].map(Self.usesBytes) == true {
      try bytePairs(json)
    } else if let json {
      try mergedPieces(json)
    } else {
      throw refusal("is vocab.json with merges.txt; add its tokenizer.json")
    }
    try roles(tokenizer, files)
  }

  private func refusal(_ what: String) -> PreparationFault {
    PreparationFault(
      "ggufTokenizer", "the tokenizer of \(source) \(what)", context: ["file": source])
  }

  private func object(_ files: [String: [UInt8]], _ name: String) throws -> JSONObject? {
    guard let bytes = files[name] else { return nil }
    return (try? JSONParsing().parse(bytes))?.object
  }

  private mutating func add(_ key: String, _ entry: GGUFEntry) {
    entries.append(("tokenizer.ggml.\(key)", entry))
  }

  private mutating func add(_ table: Table) {
    add("tokens", .strings(table.tokens))
    add("scores", .float32s(table.scores))
    add("token_type", .int32s(table.kinds.map(\.rawValue)))
  }

  /// Added tokens of tokenizer.json or of the settings: id, text, and whether it is special.
  private func added(
    _ json: JSONObject?, _ files: [String: [UInt8]]
  ) throws -> [(id: Int, text: String, isSpecial: Bool)] {
    var entries = json?["added_tokens"]?.array?.map { ($0["id"]?.int, $0) } ?? []
    let settings = try object(files, "tokenizer_config.json")
    if let decoder = settings?["added_tokens_decoder"]?.object {
      for (key, value) in decoder.members { entries.append((Int(key), value)) }
    }
    return entries.compactMap { id, value in
      guard let id, let text = value["content"]?.string else { return nil }
      return (id, text, value["special"]?.bool ?? false)
    }
  }

  // MARK: Pieces

  private mutating func pieces(
    _ content: SentencePieceContent, _ json: JSONObject?, _ files: [String: [UInt8]]
  ) throws {
    guard content.mergesPairs else {
      throw refusal("is a unigram model, which llama.cpp would read as one of merges")
    }
    guard !content.changesText else {
      throw refusal("has rules for characters or spaces, which GGUF has no form for")
    }
    add("model", .string("llama"))
    add("pre", .string("default"))
    var table = Table(vocabularySize)
    for (id, piece) in content.pieces.enumerated() {
      table.set(
        id, piece.text, GGUFVocabulary.Kind(rawValue: piece.kind) ?? .normal, score: piece.score)
    }
    for token in try added(json, files) where token.id >= content.pieces.count {
      table.set(token.id, token.text, token.isSpecial ? .control : .userDefined, score: -1000)
    }
    add(table)
    add("add_space_prefix", .bool(content.addsSpacePrefix))
  }

  /// Pieces of a tokenizer.json that was made of a SentencePiece model: a piece that merges make
  /// gets their rank as its score.
  private mutating func mergedPieces(_ json: JSONObject) throws {
    guard let model = json["model"]?.object, model["byte_fallback"]?.bool == true,
      let vocabulary = model["vocab"]?.object
    else { throw refusal("is of a kind that GGUF has no form for") }
    // By bytes: texts that look alike are tokens of their own.
    var ranks: [[UInt8]: Int] = [:]
    for (rank, merge) in Self.merges(model).enumerated() {
      let text = Array((merge.left + merge.right).utf8)
      if ranks[text] == nil { ranks[text] = rank }
    }
    add("model", .string("llama"))
    add("pre", .string("default"))
    var table = Table(vocabularySize)
    for (text, id) in vocabulary.members {
      guard let id = id.int else { continue }
      let isByte = text.utf8.count == 6 && text.hasPrefix("<0x") && text.hasSuffix(">")
      let score = ranks[Array(text.utf8)].map { -Float($0) } ?? -Float(ranks.count + id)
      table.set(id, text, isByte ? .byte : .normal, score: isByte ? 0 : score)
    }
    let unknown = model["unk_token"]?.string
    for token in try added(json, [:]) {
      let kind: GGUFVocabulary.Kind = token.isSpecial ? .control : .userDefined
      table.set(token.id, token.text, token.text == unknown ? .unknown : kind)
    }
    add(table)
    let normalizer = json["normalizer"].map { $0.serialized(.compact) } ?? ""
    let splitter = json["pre_tokenizer"].map { $0.serialized(.compact) } ?? ""
    let prefixes =
      normalizer.contains("\"Prepend\"")
      || (splitter.contains("\"Metaspace\"") && !splitter.contains("\"never\""))
    add("add_space_prefix", .bool(prefixes))
  }

  private static func merges(_ model: JSONObject) -> [(left: String, right: String)] {
    (model["merges"]?.array ?? []).compactMap { merge in
      if let pair = merge.array?.compactMap(\.string), pair.count == 2 { return (pair[0], pair[1]) }
      let words = merge.string?.split(separator: " ", omittingEmptySubsequences: false) ?? []
      return words.count == 2 ? (String(words[0]), String(words[1])) : nil
    }
  }

  // MARK: Byte pairs

  private static func usesBytes(_ value: JSONValue) -> Bool {
    value["type"]?.string == "ByteLevel"
      || value["pretokenizers"]?.array?.contains(where: usesBytes) == true
  }

  /// The patterns by which text is split, one after the other.
  private static func patterns(_ value: JSONValue) -> [String] {
    switch value["type"]?.string {
    case "Sequence": (value["pretokenizers"]?.array ?? []).flatMap(patterns)
    case "ByteLevel": value["use_regex"]?.bool ?? true ? [GGUFVocabulary.gpt2] : []
    case "Digits": value["individual_digits"]?.bool == true ? [#"\p{N}"#] : [#"\p{N}+"#]
    case "Split": [value["pattern"]?["Regex"]?.string ?? ""]
    default: [""]
    }
  }

  private mutating func bytePairs(_ json: JSONObject) throws {
    let patterns = json["pre_tokenizer"].map(Self.patterns) ?? []
    guard let known = GGUFVocabulary.patterns.first(where: { $0.patterns == patterns }) else {
      throw refusal(
        "splits text by \(Excerpt.quoted(patterns.joined(separator: ", then "))), for which "
          + "llama.cpp has no name")
    }
    guard let model = json["model"]?.object, let vocabulary = model["vocab"]?.object else {
      throw refusal("has no vocabulary in its tokenizer.json")
    }
    add("model", .string("gpt2"))
    add("pre", .string(known.names[0]))
    var table = Table(vocabularySize)
    for (text, id) in vocabulary.members { if let id = id.int { table.set(id, text, .normal) } }
    for token in try added(json, [:]) {
      table.set(token.id, token.text, token.isSpecial ? .control : .userDefined)
    }
    add("tokens", .strings(table.tokens))
    add("token_type", .int32s(table.kinds.map(\.rawValue)))
    add("merges", .strings(Self.merges(model).map { "\($0.left) \($0.right)" }))
  }

  // MARK: Roles

  private mutating func roles(_ tokenizer: Tokenizer, _ files: [String: [UInt8]]) throws {
    if let beginning = tokenizer.beginningOfSequence {
      add("bos_token_id", .uint32(Int(beginning)))
    }
    let ends = tokenizer.endOfSequence.map(Int.init)
    if let end = ends.first { add("eos_token_id", .uint32(end)) }
    if ends.count > 1 { add("eot_token_id", .uint32(ends[1])) }
    let settings = try object(files, "tokenizer_config.json")
    let unknown = settings?["unk_token"]
    if let text = unknown?.string ?? unknown?["content"]?.string, let id = tokenizer.id(of: text) {
      add("unknown_token_id", .uint32(Int(id)))
    }
    // What a text becomes shows what is put around it.
    let bare = tokenizer.encode("a", addSpecialTokens: false)
    let whole = tokenizer.encode("a", addSpecialTokens: true)
    add("add_bos_token", .bool(whole.count > bare.count && whole.first != bare.first))
    add("add_eos_token", .bool(whole.count > bare.count && whole.last != bare.last))
    let template = files["chat_template.jinja"].map { String(decoding: $0, as: UTF8.self) }
    if let text = template ?? settings?["chat_template"]?.string {
      entries.append(("tokenizer.chat_template", .string(text)))
    }
  }
}
