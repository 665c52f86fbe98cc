import Tokenization

/// A look at a checkpoint's tokenizer before long work begins.
enum TokenizerCheck {
  /// Loads the tokenizer that lies in a directory, if one does.
  ///
  /// - Parameter modelVocabulary: the ids that the model knows.
  /// - Returns: what is odd, but no obstacle.
  /// Throws: `TokenizationFault` where text could not be turned into ids with it.
  static func run(
    _ files: [String], in directory: String, modelVocabulary: Int
  ) throws -> [String] {
    guard Tokenizer.hasFiles(files) else { return [] }
    let tokenizer = try Tokenizer.load(directory: directory)
    var warnings: [String] = []
    // Fewer are common: a model's table is rounded up.
    let size = tokenizer.vocabularySize
    if size > modelVocabulary {
      warnings.append(
        "\(directory): the tokenizer has ids up to \(size - 1), the model knows those up to "
          + "\(modelVocabulary - 1): text that needs the others will be refused; see that the "
          + "tokenizer's files belong to this model")
    }
    do {
      _ = try tokenizer.chatTemplate
    } catch {
      warnings.append("shardrun chat will need --template: \(error.message)")
    }
    return warnings
  }
}
