import StrictJSON
import TensorCore

/// What `tokenizer_config.json`, `special_tokens_map.json` and `generation_config.json` say.
struct TokenizerSettings: Sendable {
  var tokenizerClass: String?
  var addsBeginning: Bool?
  var addsEnd: Bool?
  var addsPrefixSpace: Bool?
  var isLegacy: Bool?
  /// Texts of the special tokens by role: `bos_token`, `eos_token`, `unk_token`, `pad_token` …
  var specialTokens: [String: String] = [:]
  var additionalSpecialTokens: [String] = []
  var addedTokens: [AddedToken] = []
  var beginningID: Int32?
  var endIDs: [Int32] = []
  /// Chat templates by name; the unnamed one is `default`.
  var chatTemplates: [String: String] = [:]
  /// Where the default one stands.
  var chatTemplatePlace = "chat_template"

  static let roles = [
    "bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token",
  ]

  init() {}

  init(_ files: TokenizerFiles) throws {
    if let map = try files.object("special_tokens_map.json") { readRoles(map) }
    if let configuration = try files.object("tokenizer_config.json") {
      try read(configuration, file: files.displayName("tokenizer_config.json"))
    }
    if let generation = try files.object("generation_config.json") { readIDs(generation) }
    if files.bytes("chat_template.jinja") != nil {
      guard let template = files.text("chat_template.jinja") else {
        throw TokenizationFault.malformed(
          files.displayName("chat_template.jinja"), "it is no UTF-8 text")
      }
      chatTemplates["default"] = template
      chatTemplatePlace = files.displayName("chat_template.jinja")
    }
  }

  private mutating func readRoles(_ object: JSONObject) {
    for role in Self.roles {
      if let text = Self.tokenText(object[role]) { specialTokens[role] = text }
    }
    for token in object["additional_special_tokens"]?.array ?? [] {
      if let text = Self.tokenText(token) { additionalSpecialTokens.append(text) }
    }
  }

  /// A token is written as its text, or as an object with flags.
  private static func tokenText(_ value: JSONValue?) -> String? {
    value?.string ?? value?["content"]?.string
  }

  private mutating func read(_ object: JSONObject, file: String) throws(TokenizationFault) {
    readRoles(object)
    tokenizerClass = object["tokenizer_class"]?.string
    addsBeginning = object["add_bos_token"]?.bool
    addsEnd = object["add_eos_token"]?.bool
    addsPrefixSpace = object["add_prefix_space"]?.bool
    isLegacy = object["legacy"]?.bool
    if let tokens = object["added_tokens_decoder"]?.object {
      for (key, value) in tokens.members {
        guard let id = Int32(key), id >= 0 else {
          throw .malformed(file, "added_tokens_decoder has \(Excerpt.quoted(key)) as an id")
        }
        addedTokens.append(try AddedToken(value, id: id, file: file))
      }
    }
    chatTemplatePlace = "chat_template in \(file)"
    try readTemplates(object["chat_template"], file: file)
  }

  /// One template, or several: an array of objects with `name` and `template`.
  private mutating func readTemplates(
    _ value: JSONValue?, file: String
  ) throws(TokenizationFault) {
    switch value {
    case nil, .null: break
    case .string(let template): chatTemplates["default"] = template
    case .array(let templates):
      for (index, entry) in templates.enumerated() {
        guard let name = entry["name"]?.string, let template = entry["template"]?.string else {
          throw .malformed(
            file, "chat_template[\(index)] is no object with the texts \"name\" and \"template\"")
        }
        chatTemplates[name] = template
      }
    case .some(let value):
      throw .malformed(
        file, "chat_template is \(value.kindName) where a text or an array is expected")
    }
  }

  private mutating func readIDs(_ object: JSONObject) {
    func id(_ value: JSONValue?) -> Int32? { value?.int.flatMap { Int32(exactly: $0) } }
    beginningID = id(object["bos_token_id"])
    if let ids = object["eos_token_id"]?.array {
      endIDs = ids.compactMap { id($0) }
    } else if let one = id(object["eos_token_id"]) {
      endIDs = [one]
    }
  }
}
