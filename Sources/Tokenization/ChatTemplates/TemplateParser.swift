import StrictJSON

/// Reads statements; anything outside the supported language is refused by name.
struct TemplateParser {
  let tokens: [TemplateToken]
  var index = 0
  var depth = 0
  var place: TemplatePlace
  private(set) var macros: [TemplateMacro] = []
  private var loopDepth = 0

  init(_ source: String, name: String) throws(TokenizationFault) {
    var lexer = try TemplateLexer(source, name: name)
    tokens = try lexer.run()
    place = TemplatePlace(name: name, line: 1)
  }

  mutating func parse() throws(TokenizationFault) -> [TemplateNode] {
    try parseBody(of: nil, until: []).nodes
  }

  // MARK: - Tokens

  var token: TemplateToken.Kind { tokens[index].kind }

  mutating func advance() {
    if index + 1 < tokens.count { index += 1 }
    place.line = tokens[index].line
  }

  func isSymbol(_ symbol: String) -> Bool { token == .symbol(symbol) }
  func isName(_ name: String) -> Bool { token == .name(name) }

  mutating func takeSymbol(_ symbol: String) -> Bool {
    guard isSymbol(symbol) else { return false }
    advance()
    return true
  }

  mutating func takeName(_ name: String) -> Bool {
    guard isName(name) else { return false }
    advance()
    return true
  }

  mutating func expect(_ kind: TemplateToken.Kind) throws(TokenizationFault) {
    guard token == kind else {
      throw place.malformed("\(describe(token)) where \(describe(kind)) is expected")
    }
    advance()
  }

  mutating func expectName() throws(TokenizationFault) -> String {
    guard case .name(let name) = token else {
      throw place.malformed("\(describe(token)) where a name is expected")
    }
    advance()
    return name
  }

  func describe(_ kind: TemplateToken.Kind) -> String {
    switch kind {
    case .text: "text"
    case .outputBegin: "'{{'"
    case .outputEnd: "'}}'"
    case .statementBegin: "'{%'"
    case .statementEnd: "'%}'"
    case .name(let name): Excerpt.quoted(name)
    case .string: "a string"
    case .integer, .float: "a number"
    case .symbol(let symbol): "'\(symbol)'"
    case .end: "the end of the template"
    }
  }

  // MARK: - Statements

  /// Reads nodes up to a statement in `ends`, whose name is consumed.
  private mutating func parseBody(
    of statement: String?, until ends: [String]
  ) throws(TokenizationFault) -> (nodes: [TemplateNode], end: String) {
    depth += 1
    defer { depth -= 1 }
    guard depth <= TemplateLimit.nesting else {
      throw place.excess("more than \(TemplateLimit.nesting) nested parts")
    }
    var nodes: [TemplateNode] = []
    while true {
      let line = tokens[index].line
      switch token {
      case .text(let text):
        advance()
        nodes.append(TemplateNode(line: line, statement: .text(text)))
      case .outputBegin:
        advance()
        let value = try parseExpression()
        if isSymbol(",") { throw place.unsupported("a tuple without parentheses") }
        try expect(.outputEnd)
        nodes.append(TemplateNode(line: line, statement: .output(value)))
      case .statementBegin:
        advance()
        let name = try expectName()
        if ends.contains(name) { return (nodes, name) }
        let parsed = try parseStatement(name)
        nodes.append(TemplateNode(line: line, statement: parsed))
      case .end where statement == nil:
        return (nodes, "")
      default:
        throw place.malformed("\(describe(token)) before the end of '\(statement ?? "")'")
      }
    }
  }

  private mutating func parseStatement(
    _ name: String
  ) throws(TokenizationFault) -> TemplateStatement {
    switch name {
    case "if": return try parseIf()
    case "for": return try parseFor()
    case "set": return try parseSet()
    case "macro": return try parseMacro()
    case "generation":
      try expect(.statementEnd)
      let outerLoops = loopDepth
      loopDepth = 0
      let body = try parseBody(of: name, until: ["endgeneration"]).nodes
      loopDepth = outerLoops
      try expect(.statementEnd)
      return .scoped(body)
    case "break", "continue":
      guard loopDepth > 0 else { throw place.malformed("'\(name)' outside of a loop") }
      try expect(.statementEnd)
      return name == "break" ? .breakLoop : .continueLoop
    default:
      if name == "else" || name == "elif" || name.hasPrefix("end") {
        throw place.malformed("an unexpected '\(name)'")
      }
      throw place.unsupported("the statement \(Excerpt.quoted(name))")
    }
  }

  private mutating func parseIf() throws(TokenizationFault) -> TemplateStatement {
    var branches: [(condition: TemplateExpression, body: [TemplateNode])] = []
    while true {
      let condition = try parseExpression()
      try expect(.statementEnd)
      let (body, end) = try parseBody(of: "if", until: ["elif", "else", "endif"])
      branches.append((condition, body))
      if end == "elif" { continue }
      try expect(.statementEnd)
      guard end == "else" else { return .branches(branches, otherwise: []) }
      let otherwise = try parseBody(of: "if", until: ["endif"]).nodes
      try expect(.statementEnd)
      return .branches(branches, otherwise: otherwise)
    }
  }

  private mutating func parseFor() throws(TokenizationFault) -> TemplateStatement {
    let isParenthesized = takeSymbol("(")
    var targets = [try expectName()]
    while takeSymbol(",") { targets.append(try expectName()) }
    if isParenthesized { try expect(.symbol(")")) }
    if targets.contains("loop") { throw place.malformed("'loop' as the name of an item") }
    try expect(.name("in"))
    let items = try parseEither()
    if isSymbol(",") { throw place.unsupported("a tuple without parentheses") }
    let condition = takeName("if") ? try parseExpression() : nil
    if isName("recursive") { throw place.unsupported("a recursive 'for'") }
    try expect(.statementEnd)
    loopDepth += 1
    let (body, end) = try parseBody(of: "for", until: ["else", "endfor"])
    loopDepth -= 1
    try expect(.statementEnd)
    var otherwise: [TemplateNode] = []
    if end == "else" {
      otherwise = try parseBody(of: "for", until: ["endfor"]).nodes
      try expect(.statementEnd)
    }
    return .loop(
      TemplateForStatement(
        targets: targets, items: items, condition: condition, body: body, otherwise: otherwise))
  }

  private mutating func parseSet() throws(TokenizationFault) -> TemplateStatement {
    let target = try expectName()
    if isSymbol(",") { throw place.unsupported("'set' of several names") }
    let attribute = takeSymbol(".") ? try expectName() : nil
    if takeSymbol("=") {
      let value = try parseExpression()
      if isSymbol(",") { throw place.unsupported("a tuple without parentheses") }
      try expect(.statementEnd)
      return attribute.map { .setAttribute(target, $0, value) } ?? .set(target, value)
    }
    guard attribute == nil, !isSymbol("|") else {
      throw place.unsupported("'set' with a body and an attribute or a filter")
    }
    try expect(.statementEnd)
    let body = try parseBody(of: "set", until: ["endset"]).nodes
    try expect(.statementEnd)
    return .capture(target, body)
  }

  private mutating func parseMacro() throws(TokenizationFault) -> TemplateStatement {
    guard depth == 1 else { throw place.unsupported("a macro inside another statement") }
    let name = try expectName()
    try expect(.symbol("("))
    var parameters: [(name: String, value: TemplateExpression?)] = []
    while !takeSymbol(")") {
      if !parameters.isEmpty { try expect(.symbol(",")) }
      let parameter = try expectName()
      let value = takeSymbol("=") ? try parseExpression() : nil
      if value == nil, parameters.last?.value != nil {
        throw place.malformed("a macro parameter without a value behind one with a value")
      }
      parameters.append((parameter, value))
    }
    try expect(.statementEnd)
    let body = try parseBody(of: "macro", until: ["endmacro"]).nodes
    try expect(.statementEnd)
    macros.append(TemplateMacro(name: name, parameters: parameters, body: body))
    return .macro(name, macros.count - 1)
  }
}
