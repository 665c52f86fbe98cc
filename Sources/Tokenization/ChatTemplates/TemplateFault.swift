import StrictJSON
import TensorCore

/// Where in which chat template something is wrong.
struct TemplatePlace: Sendable {
  /// The template's name, usually its file.
  let name: String
  var line: Int

  /// A construct this interpreter does not know.
  func unsupported(_ construct: String) -> TokenizationFault {
    fault(
      "chatTemplateUnsupported",
      "the chat template uses \(construct), which is not supported; rewrite the template without "
        + "it, or give the prompt as text")
  }

  /// A template that breaks the rules of the language.
  func malformed(_ what: String) -> TokenizationFault {
    fault("chatTemplateMalformed", "the chat template has \(what); correct the template")
  }

  /// An operation that the values at hand do not allow.
  func failed(_ what: String) -> TokenizationFault {
    fault("chatTemplateFailed", "\(what); check the messages and the chat template")
  }

  /// A template that asks for more work or space than any prompt needs.
  func excess(_ what: String) -> TokenizationFault {
    fault("chatTemplateExcess", "the chat template takes \(what); shorten the chat or the template")
  }

  /// The template's own refusal of these messages.
  func refused(_ message: String) -> TokenizationFault {
    fault(
      "chatTemplateRefused",
      "the chat template refuses these messages: \(Excerpt.quoted(message, limit: 300))")
  }

  private func fault(_ reason: String, _ sentence: String) -> TokenizationFault {
    // Names within a template may be as long as the template.
    let sentence = sentence.utf8.count > 1000 ? "\(sentence.prefix(300))…" : sentence
    return TokenizationFault(reason, "\(name), line \(line): \(sentence)", file: name)
  }
}

/// What rendering one chat may cost at most.
enum TemplateLimit {
  static let sourceScalars = 1 << 20
  /// How deep expressions and statements of a template nest.
  static let nesting = 40
  /// How many operators, filters or subscripts stand in a row.
  static let chain = 60
  /// How deep evaluation goes, macros included.
  static let depth = 160
  /// How deep lists and dictionaries nest.
  static let valueDepth = 64
  static let steps = 10_000_000
  static let outputBytes = 1 << 24
  static let listCount = 200_000
}
