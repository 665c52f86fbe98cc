extension TemplateParser {
  /// Reads a literal, a name or what stands in brackets.
  mutating func parsePrimary() throws(TokenizationFault) -> TemplateExpression {
    let kind = token
    switch kind {
    case .name(let name):
      advance()
      switch name {
      case "true", "True": return .literal(.bool(true))
      case "false", "False": return .literal(.bool(false))
      case "none", "None": return .literal(.none)
      case "not", "and", "or", "in", "is", "if", "else", "for":
        throw place.malformed("'\(name)' where a value is expected")
      default: return .name(name)
      }
    case .string(var text):
      advance()
      while case .string(let more) = token {
        text += more
        advance()
      }
      return .literal(.string(text))
    case .integer(let value):
      advance()
      return .literal(.integer(value))
    case .float(let value):
      advance()
      return .literal(.float(value))
    case .symbol("("): return try parseParentheses()
    case .symbol("["):
      advance()
      return .list(try parseElements(until: "]", first: nil))
    case .symbol("{"): return try parseDictionary()
    default: throw place.malformed("\(describe(kind)) where a value is expected")
    }
  }

  private mutating func parseElements(
    until end: String, first: TemplateExpression?
  ) throws(TokenizationFault) -> [TemplateExpression] {
    var elements = first.map { [$0] } ?? []
    while !takeSymbol(end) {
      if !elements.isEmpty { try expect(.symbol(",")) }
      if takeSymbol(end) { break }
      elements.append(try parseExpression())
    }
    return elements
  }

  /// A tuple is read as a list.
  private mutating func parseParentheses() throws(TokenizationFault) -> TemplateExpression {
    advance()
    if takeSymbol(")") { return .list([]) }
    let first = try parseExpression()
    if takeSymbol(")") { return first }
    return .list(try parseElements(until: ")", first: first))
  }

  private mutating func parseDictionary() throws(TokenizationFault) -> TemplateExpression {
    advance()
    var members: [(key: TemplateExpression, value: TemplateExpression)] = []
    while !takeSymbol("}") {
      if !members.isEmpty { try expect(.symbol(",")) }
      if takeSymbol("}") { break }
      let key = try parseExpression()
      try expect(.symbol(":"))
      members.append((key, try parseExpression()))
    }
    return .dictionary(members)
  }
}
