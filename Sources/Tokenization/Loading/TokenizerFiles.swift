import StrictJSON
import TensorCore

/// The files of a tokenizer, from a directory or from memory.
struct TokenizerFiles {
  static let names = [
    "added_tokens.json", "chat_template.jinja", "generation_config.json", "merges.txt",
    "special_tokens_map.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
    "vocab.json",
  ]

  private let contents: [String: [UInt8]]
  private let directory: String?

  init(directory: String) throws {
    var contents: [String: [UInt8]] = [:]
    for name in Self.names {
      let path = directory + "/" + name
      if Directory.isFile(path) { contents[name] = try InputFile.contents(of: path) }
    }
    self.contents = contents
    self.directory = directory
  }

  init(_ contents: [String: [UInt8]]) {
    self.contents = contents
    directory = nil
  }

  /// The file's name as an error shows it.
  func displayName(_ name: String) -> String { directory.map { $0 + "/" + name } ?? name }

  func bytes(_ name: String) -> [UInt8]? { contents[name] }

  func text(_ name: String) -> String? {
    contents[name].flatMap { String(validating: $0, as: UTF8.self) }
  }

  /// A file that holds one JSON object; nil where there is no such file.
  func object(_ name: String) throws(TokenizationFault) -> JSONObject? {
    guard let bytes = contents[name] else { return nil }
    do {
      let value = try JSONParsing().parse(bytes)
      guard let object = value.object else {
        throw TokenizationFault.malformed(
          displayName(name), "it holds \(value.kindName) where an object is expected")
      }
      return object
    } catch let error as JSONError {
      throw .malformed(displayName(name), "it is no sound JSON: \(error)")
    } catch let fault as TokenizationFault {
      throw fault
    } catch {
      throw .malformed(displayName(name), "\(error)")
    }
  }
}
