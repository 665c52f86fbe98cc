import StrictJSON
import TensorCore

extension Tokenizer {
  /// Whether these names hold a tokenizer.
  public static func hasFiles(_ names: [String]) -> Bool {
    names.contains("tokenizer.json") || names.contains("tokenizer.model")
      || (names.contains("vocab.json") && names.contains("merges.txt"))
  }

  /// Loads a checkpoint's tokenizer: `tokenizer.json`, else `tokenizer.model`, else `vocab.json`
  /// with `merges.txt`.
  public static func load(directory: String) throws -> Tokenizer {
    guard Directory.exists(directory) else {
      throw TokenizationFault(
        "noDirectory", "\(directory) is no directory; give the directory of a checkpoint",
        file: directory, exitStatus: .noInput)
    }
    return try load(TokenizerFiles(directory: directory), place: directory)
  }

  /// Loads a tokenizer from the contents of its files by name.
  public static func load(files: [String: [UInt8]]) throws -> Tokenizer {
    try load(TokenizerFiles(files), place: "the bundle")
  }

  private static func load(_ files: TokenizerFiles, place: String) throws -> Tokenizer {
    let settings = try TokenizerSettings(files)
    var definition: TokenizerDefinition
    if let bytes = files.bytes("tokenizer.json") {
      definition = try TokenizerJSON.definition(
        bytes, file: files.displayName("tokenizer.json"), settings)
    } else if let bytes = files.bytes("tokenizer.model") {
      definition = try SentencePieceLoading.definition(bytes, files, settings)
    } else if let vocabulary = files.bytes("vocab.json"), let merges = files.bytes("merges.txt") {
      definition = try VocabularyAndMerges.definition(vocabulary, merges, files, settings)
    } else {
      throw TokenizationFault(
        "noTokenizer",
        "\(place) holds no tokenizer.json, no tokenizer.model and no vocab.json with merges.txt; "
          + "add the tokenizer's files or give token ids",
        file: place, exitStatus: .noInput)
    }
    definition.settings = settings
    return Tokenizer(try resolveRoles(definition, settings))
  }

  /// Finds the ids that begin and end texts.
  private static func resolveRoles(
    _ definition: TokenizerDefinition, _ settings: TokenizerSettings
  ) throws -> TokenizerDefinition {
    var definition = definition
    func id(_ text: String) -> Int32? { definition.id(of: Array(text.utf8)) }
    func role(_ name: String) -> Int32? { settings.specialTokens[name].flatMap(id) }
    definition.beginningOfSequence =
      role("bos_token") ?? settings.beginningID ?? definition.beginningOfSequence
    var ends = settings.endIDs
    if let end = role("eos_token"), !ends.contains(end) { ends.append(end) }
    if ends.isEmpty { ends = definition.endOfSequence }
    if ends.isEmpty {
      ends = ["</s>", "<|endoftext|>", "<eos>", "<|end_of_text|>", "<|im_end|>"].compactMap(id)
        .prefix(1).map { $0 }
    }
    definition.endOfSequence = ends
    return definition
  }
}

extension TokenizerDefinition {
  /// The id of a token.
  func id(of token: [UInt8]) -> Int32? {
    if let added = addedTokens[token] { return added.id }
    switch model {
    case .bytePairs(let model): return model.vocabulary.id(of: token)
    case .sentencePiece(let model): return model.id(of: token)
    }
  }

  /// The model's token with an id.
  func token(_ id: Int32) -> [UInt8]? {
    switch model {
    case .bytePairs(let model): return model.vocabulary.token(id).map { Array($0) }
    case .sentencePiece(let model):
      return id >= 0 && id < model.pieces.count ? model.pieces[Int(id)].text : nil
    }
  }

  /// Adds a token after looking whether its id is free.
  mutating func add(_ token: AddedToken, file: String) throws(TokenizationFault) {
    try addedTokens.add(token, known: self.token(token.id), file: file)
  }
}
