import StrictJSON

/// One turn of a chat.
public struct ChatMessage: Sendable, Equatable {
  /// Who speaks, such as `system`, `user` or `assistant`.
  public var role: String
  public var content: String

  public init(role: String, content: String) {
    self.role = role
    self.content = content
  }
}

/// A checkpoint's own rule for turning a chat into a prompt.
///
/// It is written in a subset of the Jinja language; whatever lies outside the subset is refused
/// by name. Text comes out as Hugging Face's `apply_chat_template` makes it.
///
/// Source: the Jinja documentation, "Template Designer Documentation".
public struct ChatTemplate: Sendable {
  public let name: String
  private let nodes: [TemplateNode]
  private let macros: [TemplateMacro]

  /// - Parameter name: the file's name, for faults.
  /// - Throws: `TokenizationFault` where the template is malformed or uses an unknown construct.
  public init(_ source: String, name: String) throws(TokenizationFault) {
    self.name = name
    var parser = try TemplateParser(source, name: name)
    nodes = try parser.parse()
    macros = parser.macros
  }

  /// The prompt of a chat.
  ///
  /// - Parameter addGenerationPrompt: whether the prompt ends with the start of an answer.
  /// - Parameter specialTokens: texts by role, such as `bos_token` and `eos_token`.
  /// - Parameter variables: further names the template may use, such as `tools`.
  /// - Parameter date: what `strftime_now` prints; nil leaves that function undefined.
  /// - Throws: `TokenizationFault` where the template refuses the chat, uses a construct not known
  ///   here or takes more work than `TemplateLimit` allows.
  public func render(
    messages: [ChatMessage], addGenerationPrompt: Bool, specialTokens: [String: String] = [:],
    variables: [String: JSONValue] = [:], date: ChatDate? = nil
  ) throws(TokenizationFault) -> String {
    var names: [String: JSONValue] = ["tools": .null, "documents": .null]
    for (name, text) in specialTokens { names[name] = .string(text) }
    names.merge(variables) { $1 }
    names["messages"] = .array(
      messages.map { ["role": .string($0.role), "content": .string($0.content)] })
    names["add_generation_prompt"] = .bool(addGenerationPrompt)
    return try render(variables: names, date: date)
  }

  /// The prompt from exactly these names: messages with other members than role and content.
  public func render(
    variables: [String: JSONValue], date: ChatDate? = nil
  ) throws(TokenizationFault) -> String {
    var values: [String: TemplateValue] = [:]
    for (name, value) in variables {
      guard let value = TemplateValue(value) else {
        throw TemplatePlace(name: self.name, line: 1)
          .excess("'\(name)' with more than \(TemplateLimit.valueDepth) nested levels")
      }
      values[name] = value
    }
    var renderer = TemplateRenderer(macros: macros, name: name, date: date, variables: values)
    _ = try renderer.render(nodes)
    return renderer.output
  }
}

extension Tokenizer {
  /// The checkpoint's chat template, nil where it has none; texts of special tokens for it are in
  /// `specialTokenTexts`.
  ///
  /// - Throws: `TokenizationFault` where the template is malformed or uses an unknown construct.
  public var chatTemplate: ChatTemplate? {
    get throws(TokenizationFault) {
      guard let source = settings.chatTemplates["default"] else { return nil }
      return try ChatTemplate(source, name: settings.chatTemplatePlace)
    }
  }

  /// Names of the checkpoint's chat templates; `default` is `chatTemplate`.
  public var chatTemplateNames: [String] { settings.chatTemplates.keys.sorted() }

  /// Texts of the special tokens by role: `bos_token`, `eos_token`, `unk_token`, `pad_token` …
  public var specialTokenTexts: [String: String] { settings.specialTokens }
}
