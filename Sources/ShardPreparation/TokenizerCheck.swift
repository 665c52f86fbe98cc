import Tokenization

/// A look at a checkpoint's tokenizer before long work begins.
enum TokenizerCheck {
  /// Loads the tokenizer that lies in a directory, if one does.
  ///
  /// - Returns: what is odd, but no obstacle.
  /// Throws: `TokenizationFault` where text could not be turned into ids with it.
  static func run(_ files: [String], in directory: String) throws -> [String] {
    guard Tokenizer.hasFiles(files) else { return [] }
    let tokenizer = try Tokenizer.load(directory: directory)
    do {
      _ = try tokenizer.chatTemplate
      return []
    } catch {
      return ["shardrun chat will need --template: \(error.message)"]
    }
  }
}
