import StrictJSON

extension TemplateParser {
  private static let comparisons: Set<String> = ["==", "!=", "<", "<=", ">", ">="]

  mutating func parseExpression() throws(TokenizationFault) -> TemplateExpression {
    depth += 1
    defer { depth -= 1 }
    guard depth <= TemplateLimit.nesting else {
      throw place.excess("more than \(TemplateLimit.nesting) nested parts")
    }
    var value = try parseEither()
    var count = 0
    while takeName("if") {
      try checkChain(&count)
      let condition = try parseEither()
      let otherwise = takeName("else") ? try parseExpression() : nil
      value = .conditional(condition, then: value, otherwise: otherwise)
    }
    return value
  }

  /// Counts links of a row of operators.
  private func checkChain(_ count: inout Int) throws(TokenizationFault) {
    count += 1
    guard count <= TemplateLimit.chain else {
      throw place.excess("more than \(TemplateLimit.chain) operators in a row")
    }
  }

  mutating func parseEither() throws(TokenizationFault) -> TemplateExpression {
    var left = try parseBoth()
    var count = 0
    while takeName("or") {
      try checkChain(&count)
      left = .either(left, try parseBoth())
    }
    return left
  }

  private mutating func parseBoth() throws(TokenizationFault) -> TemplateExpression {
    var left = try parseNot()
    var count = 0
    while takeName("and") {
      try checkChain(&count)
      left = .both(left, try parseNot())
    }
    return left
  }

  private mutating func parseNot() throws(TokenizationFault) -> TemplateExpression {
    var count = 0
    while takeName("not") { try checkChain(&count) }
    var value = try parseComparison()
    for _ in 0..<count { value = .not(value) }
    return value
  }

  private mutating func parseComparison() throws(TokenizationFault) -> TemplateExpression {
    let left = try parseSum()
    var links: [(operation: String, right: TemplateExpression)] = []
    while true {
      if case .symbol(let symbol) = token, Self.comparisons.contains(symbol) {
        advance()
        links.append((symbol, try parseSum()))
      } else if takeName("in") {
        links.append(("in", try parseSum()))
      } else if isName("not"), tokens[index + 1].kind == .name("in") {
        advance()
        advance()
        links.append(("not in", try parseSum()))
      } else {
        return links.isEmpty ? left : .comparison(left, links)
      }
    }
  }

  private mutating func parseSum() throws(TokenizationFault) -> TemplateExpression {
    var left = try parseJoined()
    var count = 0
    while case .symbol(let symbol) = token, symbol == "+" || symbol == "-" {
      try checkChain(&count)
      advance()
      left = .arithmetic(left, symbol, try parseJoined())
    }
    return left
  }

  private mutating func parseJoined() throws(TokenizationFault) -> TemplateExpression {
    var parts = [try parseProduct()]
    while takeSymbol("~") { parts.append(try parseProduct()) }
    return parts.count == 1 ? parts[0] : .joined(parts)
  }

  private mutating func parseProduct() throws(TokenizationFault) -> TemplateExpression {
    var left = try parseUnary(withFilters: true)
    var count = 0
    while case .symbol(let symbol) = token, ["*", "/", "//", "%", "**"].contains(symbol) {
      guard symbol != "**" else { throw place.unsupported("the operator '**'") }
      try checkChain(&count)
      advance()
      left = .arithmetic(left, symbol, try parseUnary(withFilters: true))
    }
    return left
  }

  private mutating func parseUnary(
    withFilters: Bool
  ) throws(TokenizationFault) -> TemplateExpression {
    var value: TemplateExpression
    if takeSymbol("-") {
      if isSymbol("-") || isSymbol("+") { throw place.unsupported("several signs in a row") }
      value = .negated(try parseUnary(withFilters: false))
    } else if isSymbol("+") {
      throw place.unsupported("the sign '+'")
    } else {
      value = try parsePostfix(try parsePrimary())
    }
    var count = 0
    while withFilters {
      if takeSymbol("|") {
        value = try parseFilter(of: value)
      } else if takeName("is") {
        value = try parseTest(of: value)
      } else if isSymbol("(") {
        value = .call(value, try parseArguments())
      } else {
        break
      }
      try checkChain(&count)
    }
    return value
  }

  private mutating func parseFilter(
    of value: TemplateExpression
  ) throws(TokenizationFault) -> TemplateExpression {
    let name = try expectName()
    guard TemplateRenderer.filters.contains(name) else {
      throw place.unsupported("the filter \(Excerpt.quoted(name))")
    }
    return .filter(value, name, isSymbol("(") ? try parseArguments() : TemplateArguments())
  }

  private mutating func parseTest(
    of value: TemplateExpression
  ) throws(TokenizationFault) -> TemplateExpression {
    let isNegated = takeName("not")
    let name = try expectName()
    guard TemplateRenderer.tests.contains(name) else {
      throw place.unsupported("the test \(Excerpt.quoted(name))")
    }
    var arguments = TemplateArguments()
    switch token {
    case .symbol("("): arguments = try parseArguments()
    case .name(let next) where ["else", "or", "and", "if", "in", "not", "is"].contains(next): break
    case .name, .string, .integer, .float, .symbol("["), .symbol("{"):
      arguments.positional = [try parsePostfix(try parsePrimary())]
    default: break
    }
    let test = TemplateExpression.test(value, name, arguments)
    return isNegated ? .not(test) : test
  }

  private mutating func parsePostfix(
    _ base: TemplateExpression
  ) throws(TokenizationFault) -> TemplateExpression {
    var value = base
    var count = 0
    while true {
      if takeSymbol(".") {
        guard case .name(let name) = token else {
          throw place.unsupported("\(describe(token)) as an attribute")
        }
        guard !name.hasPrefix("_") else {
          throw place.unsupported("the attribute \(Excerpt.quoted(name))")
        }
        advance()
        value = .attribute(value, name)
      } else if isSymbol("[") {
        value = try parseSubscript(of: value)
      } else if isSymbol("(") {
        value = .call(value, try parseArguments())
      } else {
        return value
      }
      try checkChain(&count)
    }
  }

  private mutating func parseSubscript(
    of value: TemplateExpression
  ) throws(TokenizationFault) -> TemplateExpression {
    try expect(.symbol("["))
    var parts: [TemplateExpression?] = [nil]
    while !isSymbol("]") {
      if takeSymbol(":") {
        parts.append(nil)
      } else if parts[parts.count - 1] == nil {
        parts[parts.count - 1] = try parseExpression()
      } else {
        throw place.malformed("\(describe(token)) in a subscript")
      }
    }
    advance()
    guard parts.count <= 3 else { throw place.malformed("a slice of more than three parts") }
    if parts.count == 1 {
      guard let key = parts[0] else { throw place.malformed("an empty subscript") }
      return .item(value, key)
    }
    return .slice(value, start: parts[0], end: parts[1], step: parts.count == 3 ? parts[2] : nil)
  }

  private mutating func parseArguments() throws(TokenizationFault) -> TemplateArguments {
    try expect(.symbol("("))
    var arguments = TemplateArguments()
    var isFirst = true
    while !takeSymbol(")") {
      if !isFirst { try expect(.symbol(",")) }
      isFirst = false
      if takeSymbol(")") { break }
      if isSymbol("*") || isSymbol("**") { throw place.unsupported("arguments with '*'") }
      if case .name(let name) = token, tokens[index + 1].kind == .symbol("=") {
        advance()
        advance()
        guard !arguments.named.contains(where: { $0.name == name }) else {
          throw place.malformed("the argument \(Excerpt.quoted(name)) twice")
        }
        arguments.named.append((name, try parseExpression()))
      } else {
        guard arguments.named.isEmpty else {
          throw place.malformed("a positional argument behind a named one")
        }
        arguments.positional.append(try parseExpression())
      }
    }
    return arguments
  }
}
