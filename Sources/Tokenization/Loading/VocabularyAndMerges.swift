import StrictJSON

/// Builds a byte-level tokenizer from `vocab.json` and `merges.txt`.
enum VocabularyAndMerges {
  static func definition(
    _ vocabulary: [UInt8], _ merges: [UInt8], _ files: TokenizerFiles,
    _ settings: TokenizerSettings
  ) throws(TokenizationFault) -> TokenizerDefinition {
    let name = files.displayName("vocab.json")
    var pairs = BytePairFile(file: name, byteCount: vocabulary.count)
    do {
      var reader = JSONReader(vocabulary)
      guard try reader.nextKind() == .object else {
        throw TokenizationFault.malformed(name, "it holds no JSON object")
      }
      try pairs.readVocabulary(&reader)
      try reader.finish()
    } catch let error as JSONError {
      throw .malformed(name, "it is no sound JSON: \(error)")
    } catch let fault as TokenizationFault {
      throw fault
    } catch {
      throw .malformed(name, "\(error)")
    }
    try pairs.readMerges(merges)
    let model = try pairs.makeModel(BytePairModel.Options())
    var definition = TokenizerDefinition(model: .bytePairs(model))
    try addWords(settings, files, &definition)
    definition.decoder = TokenDecoder(steps: [.byteLevel])
    try AddedTokensFile.add(files, settings, to: &definition)
    try addSpecialTokens(settings, &definition)
    if settings.addsBeginning == true, let text = settings.specialTokens["bos_token"],
      let id = definition.id(of: Array(text.utf8))
    {
      definition.postProcessor = PostProcessor(items: [.id(id), .text])
    }
    return definition
  }

  /// How text is cut into words depends on the tokenizer's class, which the files may name.
  private static func addWords(
    _ settings: TokenizerSettings, _ files: TokenizerFiles,
    _ definition: inout TokenizerDefinition
  ) throws(TokenizationFault) {
    var name = settings.tokenizerClass ?? "GPT2Tokenizer"
    if name.hasSuffix("Fast") { name.removeLast(4) }
    switch name {
    case "GPT2Tokenizer", "CodeGenTokenizer", "GPTNeoXTokenizer":
      definition.preTokenizer = .byteLevel(
        addsPrefixSpace: settings.addsPrefixSpace ?? false, usesRegex: true)
    case "Qwen2Tokenizer":
      definition.normalizer = .unicode(UnicodeNormalization(.NFC))
      definition.preTokenizer = .sequence([
        .split(.words(WordScanner(.llama3(digits: 1))), .isolated, isInverted: false),
        .byteLevel(addsPrefixSpace: settings.addsPrefixSpace ?? false, usesRegex: false),
      ])
    default:
      throw .unknownComponent(
        "tokenizer class without tokenizer.json", name,
        file: files.displayName("tokenizer_config.json"))
    }
  }

  /// Special tokens are found in text; GPT-2's own also where no file names it.
  private static func addSpecialTokens(
    _ settings: TokenizerSettings, _ definition: inout TokenizerDefinition
  ) throws(TokenizationFault) {
    var texts = TokenizerSettings.roles.compactMap { settings.specialTokens[$0] }
    texts += settings.additionalSpecialTokens + ["<|endoftext|>"]
    for text in texts {
      let content = Array(text.utf8)
      if definition.addedTokens[content]?.isSpecial == true { continue }
      guard let id = definition.id(of: content) else { continue }
      try definition.add(
        AddedToken(content: content, id: id, isSpecial: true), file: "tokenizer_config.json")
    }
  }
}

/// Tokens beside the model's: `added_tokens.json` and `added_tokens_decoder`.
enum AddedTokensFile {
  static func add(
    _ files: TokenizerFiles, _ settings: TokenizerSettings,
    to definition: inout TokenizerDefinition
  ) throws(TokenizationFault) {
    if let object = try files.object("added_tokens.json") {
      let file = files.displayName("added_tokens.json")
      let special = Set(
        TokenizerSettings.roles.compactMap { settings.specialTokens[$0] }
          + settings.additionalSpecialTokens)
      for (text, value) in object.members {
        guard let id = value.int.flatMap({ Int32(exactly: $0) }) else {
          throw .malformed(file, "the token \(Excerpt.quoted(text)) has no whole number as its id")
        }
        var token = AddedToken(content: Array(text.utf8), id: id)
        token.isSpecial = special.contains(text)
        try definition.add(token, file: file)
      }
    }
    for token in settings.addedTokens {
      try definition.add(token, file: files.displayName("tokenizer_config.json"))
    }
  }
}
