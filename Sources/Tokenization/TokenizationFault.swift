import StrictJSON
import TensorCore

/// Why a tokenizer, or one of its files, cannot be used, or an id cannot be decoded.
public struct TokenizationFault: Fault {
  public let code: String
  public let message: String
  public let exitStatus: ExitStatus
  public let context: [String: String]

  /// - Parameter reason: the second half of the code, such as `unknownComponent` in
  ///   `tokenization.unknownComponent`.
  public init(
    _ reason: String, _ message: String, file: String? = nil, exitStatus: ExitStatus = .badData
  ) {
    code = "tokenization." + reason
    self.message = message
    self.exitStatus = exitStatus
    context = file.map { ["file": $0] } ?? [:]
  }
}

extension TokenizationFault {
  /// A part of a tokenizer that this program cannot do.
  static func unknownComponent(_ kind: String, _ name: String, file: String) -> Self {
    TokenizationFault(
      "unknownComponent",
      "\(file): the \(kind) \(Excerpt.quoted(name)) is not supported; convert the tokenizer to "
        + "one without it",
      file: file)
  }

  /// A file whose content contradicts itself or its format.
  static func malformed(_ file: String, _ what: String) -> Self {
    TokenizationFault(
      "malformed", "\(file): \(what); get the file again from where it came", file: file)
  }
}
