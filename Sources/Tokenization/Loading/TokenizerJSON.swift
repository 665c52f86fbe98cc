import StrictJSON

/// Reads `tokenizer.json`, the file of the `tokenizers` library.
enum TokenizerJSON {
  static func definition(
    _ bytes: [UInt8], file: String, _ settings: TokenizerSettings
  ) throws(TokenizationFault) -> TokenizerDefinition {
    var document = Document(vocabulary: BytePairFile(file: file, byteCount: bytes.count))
    do {
      var reader = JSONReader(bytes)
      try document.read(&reader, file: file)
    } catch let error as JSONError {
      throw .malformed(file, "it is no sound JSON: \(error)")
    } catch let fault as TokenizationFault {
      throw fault
    } catch {
      throw .malformed(file, "\(error)")
    }
    let model = try model(document, file: file)
    var definition = TokenizerDefinition(model: .bytePairs(model))
    if let value = document.component("normalizer") {
      let normalizer = try Normalizer(value, file: file)
      guard normalizer.growth <= Normalizer.maximumGrowth else {
        throw .malformed(file, "the normalizer lets text grow without measure")
      }
      definition.normalizer = normalizer
    }
    if let value = document.component("pre_tokenizer") {
      let preTokenizer = try PreTokenizer(value, file: file)
      guard preTokenizer.growth <= Normalizer.maximumGrowth else {
        throw .malformed(file, "the pre-tokenizer lets text grow without measure")
      }
      definition.preTokenizer = preTokenizer
    }
    if let value = document.component("post_processor") {
      definition.postProcessor = try PostProcessor(value, file: file)
    }
    if let value = document.component("decoder") {
      definition.decoder = try TokenDecoder(value, file: file)
    }
    try addTokens(document.members["added_tokens"], settings, to: &definition, file: file)
    try checkAddedTokens(definition, file: file)
    if case .id(let id)? = definition.postProcessor.items.first {
      definition.beginningOfSequence = id
    }
    followSettings(settings, &definition)
    return definition
  }

  /// The members of the file, those of the model apart.
  private struct Document {
    var members = JSONObject()
    var model = JSONObject()
    var vocabulary: BytePairFile
    var hasModel = false

    func component(_ name: String) -> JSONValue? {
      guard let value = members[name], !value.isNull else { return nil }
      return value
    }

    mutating func read(_ reader: inout JSONReader, file: String) throws {
      guard try reader.nextKind() == .object else {
        throw TokenizationFault.malformed(file, "it holds no JSON object")
      }
      try reader.beginObject()
      while let name = try reader.nextName() {
        guard members[name] == nil else {
          throw TokenizationFault.malformed(file, "the name \(Excerpt.quoted(name)) stands twice")
        }
        if name == "model", try reader.nextKind() == .object {
          try readModel(&reader, file: file)
          members[name] = .null
          hasModel = true
        } else {
          members[name] = try reader.readValue()
        }
      }
      try reader.finish()
    }

    private mutating func readModel(_ reader: inout JSONReader, file: String) throws {
      try reader.beginObject()
      while let name = try reader.nextName() {
        guard model[name] == nil else {
          throw TokenizationFault.malformed(file, "the name \(Excerpt.quoted(name)) stands twice")
        }
        switch (name, try reader.nextKind()) {
        case ("vocab", .object): try vocabulary.readVocabulary(&reader)
        case ("merges", .array): try vocabulary.readMerges(&reader)
        case ("vocab", _), ("merges", _):
          try reader.skipValue()
          model[name] = .null
          continue
        default:
          model[name] = try reader.readValue()
          continue
        }
        model[name] = .bool(true)
      }
    }
  }

  private static func model(
    _ document: Document, file: String
  ) throws(TokenizationFault) -> BytePairModel {
    guard document.hasModel else { throw .malformed(file, "it has no model") }
    let reader = try ComponentReader(.object(document.model), kind: "model", file: file)
    let type = reader.type ?? (document.model["merges"] == nil ? "" : "BPE")
    guard type == "BPE" else { throw .unknownComponent("model", type, file: file) }
    guard document.model["vocab"]?.bool == true, document.model["merges"]?.bool == true else {
      throw .malformed(file, "the model has no vocabulary or no merges")
    }
    if let dropout = document.model["dropout"], !dropout.isNull, dropout.double != 0 {
      throw .unknownComponent("model option", "dropout", file: file)
    }
    var options = BytePairModel.Options()
    options.fusesUnknown = try reader.bool("fuse_unk", default: false)
    options.ignoresMerges = try reader.bool("ignore_merges", default: false)
    let prefix = document.model["continuing_subword_prefix"]?.string ?? ""
    options.continuingPrefix = Array(prefix.utf8)
    options.wordSuffix = Array((document.model["end_of_word_suffix"]?.string ?? "").utf8)
    let vocabulary = document.vocabulary.vocabulary
    if try reader.bool("byte_fallback", default: false) {
      options.byteTokens = (0..<256).map { vocabulary.id(of: ByteToken.name(UInt8($0))) ?? -1 }
    }
    if let unknown = document.model["unk_token"]?.string {
      guard let id = vocabulary.id(of: Array(unknown.utf8)) else {
        throw .malformed(file, "the unknown token \(Excerpt.quoted(unknown)) is no token")
      }
      options.unknown = id
    }
    return try document.vocabulary.makeModel(options)
  }

  private static func addTokens(
    _ value: JSONValue?, _ settings: TokenizerSettings, to definition: inout TokenizerDefinition,
    file: String
  ) throws(TokenizationFault) {
    for entry in value?.array ?? [] {
      guard let id = entry["id"]?.int.flatMap({ Int32(exactly: $0) }) else {
        throw .malformed(file, "an added token has no id")
      }
      var token = try AddedToken(entry, id: id, file: file)
      // A token of the model keeps the model's id.
      if case .bytePairs(let model) = definition.model,
        let known = model.vocabulary.id(of: token.content)
      {
        token.id = known
      }
      try definition.add(token, file: file)
    }
    for token in settings.addedTokens
    where definition.id(of: token.content) == nil && definition.token(token.id) == nil
      && definition.addedTokens[token.id] == nil
    {
      try definition.add(token, file: "tokenizer_config.json")
    }
  }

  /// Added tokens are normalized at once: a small file must not make large texts of them.
  private static let maximumNormalizedByteCount = Double(1 << 24)

  private static func checkAddedTokens(
    _ definition: TokenizerDefinition, file: String
  ) throws(TokenizationFault) {
    guard let normalizer = definition.normalizer else { return }
    let count = definition.addedTokens.tokens.reduce(0) {
      $0 + ($1.isNormalized ? $1.content.count : 0)
    }
    guard Double(count) * normalizer.growth <= maximumNormalizedByteCount else {
      throw .malformed(file, "the normalizer lets the added tokens grow without measure")
    }
  }

  /// Classes whose `add_bos_token` and `add_eos_token` replace the file's post-processor.
  private static let classesThatAddTokens = [
    "LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer", "CodeLlamaTokenizerFast",
    "GemmaTokenizer", "GemmaTokenizerFast",
  ]

  private static func followSettings(
    _ settings: TokenizerSettings, _ definition: inout TokenizerDefinition
  ) {
    guard let name = settings.tokenizerClass, classesThatAddTokens.contains(name),
      settings.addsBeginning != nil || settings.addsEnd != nil,
      let beginning = definition.id(of: Array((settings.specialTokens["bos_token"] ?? "<s>").utf8)),
      let end = definition.id(of: Array((settings.specialTokens["eos_token"] ?? "</s>").utf8))
    else { return }
    var items: [PostProcessor.Item] = [.text]
    if settings.addsBeginning ?? true { items.insert(.id(beginning), at: 0) }
    if settings.addsEnd ?? false { items.append(.id(end)) }
    definition.postProcessor = PostProcessor(items: items)
  }
}
