/// Builds a tokenizer from `tokenizer.model`.
///
/// Text is taken literally: the model's control pieces are found in it only where another file
/// lists them among the added tokens.
enum SentencePieceLoading {
  static func definition(
    _ bytes: [UInt8], _ files: TokenizerFiles, _ settings: TokenizerSettings
  ) throws(TokenizationFault) -> TokenizerDefinition {
    let file = try SentencePieceFile(bytes, name: files.displayName("tokenizer.model"))
    let model = try SentencePieceModel(file)
    var definition = TokenizerDefinition(model: .sentencePiece(model))
    try AddedTokensFile.add(files, settings, to: &definition)
    definition.prefixesEveryStretch = settings.isLegacy ?? true
    let beginning = id(settings, "bos_token", definition) ?? model.beginning
    let end = id(settings, "eos_token", definition) ?? model.end
    definition.beginningOfSequence = beginning
    definition.endOfSequence = end.map { [$0] } ?? []
    var items: [PostProcessor.Item] = [.text]
    if settings.addsBeginning ?? addsBeginning(settings.tokenizerClass), let beginning {
      items.insert(.id(beginning), at: 0)
    }
    if settings.addsEnd ?? false, let end { items.append(.id(end)) }
    definition.postProcessor = PostProcessor(items: items)
    return definition
  }

  private static func id(
    _ settings: TokenizerSettings, _ role: String, _ definition: TokenizerDefinition
  ) -> Int32? {
    settings.specialTokens[role].flatMap { definition.id(of: Array($0.utf8)) }
  }

  /// Llama's and Gemma's tokenizers begin with BOS unless told otherwise; so does one of no class.
  private static func addsBeginning(_ name: String?) -> Bool {
    guard let name else { return true }
    return ["Llama", "CodeLlama", "Gemma", "Mistral"].contains { name.hasPrefix($0) }
  }
}
