import StrictJSON

/// Evaluates one template on one chat, within the limits of `TemplateLimit`.
struct TemplateRenderer {
  enum Outcome { case next, breakLoop, continueLoop }

  let macros: [TemplateMacro]
  let date: ChatDate?
  var place: TemplatePlace
  var output = ""
  /// Names from the outermost to the innermost scope.
  var scopes: [[String: TemplateValue]]
  var namespaces: [TemplateDictionary] = []
  private var steps = 0
  private var outputBytes = 0
  private var depth = 0

  init(
    macros: [TemplateMacro], name: String, date: ChatDate?, variables: [String: TemplateValue]
  ) {
    self.macros = macros
    self.date = date
    place = TemplatePlace(name: name, line: 1)
    var globals: [String: TemplateValue] = [:]
    for function in TemplateFunction.allCases where function != .strftimeNow || date != nil {
      globals[function.rawValue] = .function(function)
    }
    scopes = [globals, variables]
  }

  // MARK: - Limits

  mutating func charge(_ count: Int) throws(TokenizationFault) {
    steps += count
    guard steps <= TemplateLimit.steps else {
      throw place.excess("more than \(TemplateLimit.steps) steps")
    }
  }

  mutating func enter() throws(TokenizationFault) {
    try charge(1)
    depth += 1
    guard depth <= TemplateLimit.depth else {
      throw place.excess("more than \(TemplateLimit.depth) nested evaluations")
    }
  }

  mutating func leave() { depth -= 1 }

  /// A string value, if it is not too large.
  mutating func makeString(_ text: String) throws(TokenizationFault) -> TemplateValue {
    try charge(text.utf8.count / 16)
    guard text.utf8.count <= TemplateLimit.outputBytes else {
      throw place.excess("a text of more than \(TemplateLimit.outputBytes) bytes")
    }
    return .string(text)
  }

  mutating func makeList(
    _ items: [TemplateValue], isLazy: Bool = false
  ) throws(TokenizationFault) -> TemplateValue {
    try charge(items.count)
    guard items.count <= TemplateLimit.listCount else {
      throw place.excess("a list of more than \(TemplateLimit.listCount) items")
    }
    let list = TemplateValue.list(TemplateList(items, isLazy: isLazy))
    try checkDepth(list)
    return list
  }

  func checkDepth(_ value: TemplateValue) throws(TokenizationFault) {
    guard value.depth <= TemplateLimit.valueDepth else {
      throw place.excess("more than \(TemplateLimit.valueDepth) nested lists or dictionaries")
    }
  }

  private mutating func write(_ text: String) throws(TokenizationFault) {
    outputBytes += text.utf8.count
    guard outputBytes <= TemplateLimit.outputBytes else {
      throw place.excess("more than \(TemplateLimit.outputBytes) bytes of text")
    }
    output += text
  }

  // MARK: - Statements

  mutating func render(_ nodes: [TemplateNode]) throws(TokenizationFault) -> Outcome {
    try enter()
    defer { leave() }
    for node in nodes {
      try charge(1)
      place.line = node.line
      let outcome = try render(node.statement)
      if outcome != .next { return outcome }
    }
    return .next
  }

  private mutating func render(
    _ statement: TemplateStatement
  ) throws(TokenizationFault) -> Outcome {
    switch statement {
    case .text(let text): try write(text)
    case .output(let expression): try write(try text(of: try evaluate(expression)))
    case .branches(let branches, let otherwise):
      for branch in branches where try evaluate(branch.condition).isTrue {
        return try render(branch.body)
      }
      return try render(otherwise)
    case .loop(let loop): return try render(loop)
    case .set(let name, let expression): assign(try evaluate(expression), to: name)
    case .setAttribute(let name, let attribute, let expression):
      guard case .namespace(let index) = try lookUp(name) else {
        throw place.failed("'\(name)' is not a namespace, so its attributes cannot be set")
      }
      let value = try evaluate(expression)
      try checkDepth(value)
      namespaces[index][attribute] = value
    case .capture(let name, let body):
      assign(try capture(body, names: [:]), to: name)
    case .scoped(let body):
      scopes.append([:])
      _ = try render(body)
      scopes.removeLast()
    case .macro(let name, let index): assign(.macro(index), to: name)
    case .breakLoop: return .breakLoop
    case .continueLoop: return .continueLoop
    }
    return .next
  }

  mutating func assign(_ value: TemplateValue, to name: String) {
    scopes[scopes.count - 1][name] = value
  }

  /// What a body writes, in a scope of its own.
  mutating func capture(
    _ body: [TemplateNode], names: [String: TemplateValue]
  ) throws(TokenizationFault) -> TemplateValue {
    let outer = output
    output = ""
    scopes.append(names)
    _ = try render(body)
    scopes.removeLast()
    let text = output
    output = outer
    return try makeString(text)
  }

  private mutating func render(_ loop: TemplateForStatement) throws(TokenizationFault) -> Outcome {
    var items = try self.items(of: try evaluate(loop.items), "'for'")
    if let condition = loop.condition {
      var kept: [TemplateValue] = []
      for item in items {
        scopes.append([:])
        try bind(item, to: loop.targets)
        if try evaluate(condition).isTrue { kept.append(item) }
        scopes.removeLast()
      }
      items = kept
    }
    if items.isEmpty {
      scopes.append([:])
      defer { scopes.removeLast() }
      return try render(loop.otherwise)
    }
    for index in items.indices {
      scopes.append(["loop": .loop(TemplateLoop(index: index, items: items))])
      try bind(items[index], to: loop.targets)
      let outcome = try render(loop.body)
      scopes.removeLast()
      if outcome == .breakLoop { break }
    }
    return .next
  }

  private mutating func bind(
    _ item: TemplateValue, to targets: [String]
  ) throws(TokenizationFault) {
    if targets.count == 1 { return assign(item, to: targets[0]) }
    let parts = try items(of: item, "'for' with several names")
    guard parts.count == targets.count else {
      throw place.failed("an item has \(parts.count) parts where 'for' names \(targets.count)")
    }
    for (target, part) in zip(targets, parts) { assign(part, to: target) }
  }

  /// What iteration over a value yields.
  mutating func items(
    of value: TemplateValue, _ user: String
  ) throws(TokenizationFault) -> [TemplateValue] {
    switch value {
    case .undefined: return []
    case .list(let list):
      try charge(list.items.count)
      return list.items
    case .dictionary(let dictionary): return dictionary.keys.map { .string($0) }
    case .string(let text):
      try charge(text.utf8.count)
      guard text.utf8.count <= TemplateLimit.listCount else {
        throw place.excess("a list of more than \(TemplateLimit.listCount) items")
      }
      return text.unicodeScalars.map { .string(String($0)) }
    default: throw place.failed("\(user) cannot go through \(value.kindName)")
    }
  }

  /// What printing a value writes.
  func text(of value: TemplateValue) throws(TokenizationFault) -> String {
    switch value {
    case .undefined: return ""
    case .none: return "None"
    case .bool(let value): return value ? "True" : "False"
    case .integer(let value): return String(value)
    case .float(let value): return value.description
    case .string(let text): return text
    case .list, .dictionary, .namespace, .loop, .macro, .function:
      throw place.unsupported("\(value.kindName) as text")
    }
  }
}
