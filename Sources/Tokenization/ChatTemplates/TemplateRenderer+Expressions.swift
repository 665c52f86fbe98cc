import StrictJSON

extension TemplateRenderer {
  /// Names of the language that this interpreter lacks, and which would else be undefined.
  private static let missingNames: Set<String> = [
    "cycler", "joiner", "lipsum", "self", "dict", "varargs", "kwargs", "caller",
  ]

  func lookUp(_ name: String) throws(TokenizationFault) -> TemplateValue {
    for scope in scopes.reversed() {
      if let value = scope[name] { return value }
    }
    if Self.missingNames.contains(name) { throw place.unsupported("the name '\(name)'") }
    return .undefined("'\(name)'")
  }

  mutating func evaluate(
    _ expression: TemplateExpression
  ) throws(TokenizationFault) -> TemplateValue {
    try enter()
    defer { leave() }
    switch expression {
    case .literal(let value): return value
    case .name(let name): return try lookUp(name)
    case .attribute(let base, let name): return try attribute(name, of: try evaluate(base))
    case .item(let base, let key):
      let base = try evaluate(base)
      return try item(try evaluate(key), of: base)
    case .not(let value): return .bool(!(try evaluate(value).isTrue))
    case .both(let left, let right):
      let left = try evaluate(left)
      return left.isTrue ? try evaluate(right) : left
    case .either(let left, let right):
      let left = try evaluate(left)
      return left.isTrue ? left : try evaluate(right)
    case .conditional(let condition, let value, let otherwise):
      if try evaluate(condition).isTrue { return try evaluate(value) }
      return try otherwise.map { other throws(TokenizationFault) in try evaluate(other) }
        ?? .undefined("an 'if' without 'else'")
    case .filter(let value, let name, let arguments):
      let value = try evaluate(value)
      return try filter(name, value, try evaluate(arguments))
    case .test(let value, let name, let arguments):
      let value = try evaluate(value)
      return .bool(try test(name, value, try evaluate(arguments).positional))
    case .call(let target, let arguments): return try call(target, arguments)
    case .comparison(let left, let links): return try compare(left, links)
    default: return try compose(expression)
    }
  }

  /// Evaluates what makes new values out of others.
  private mutating func compose(
    _ expression: TemplateExpression
  ) throws(TokenizationFault) -> TemplateValue {
    switch expression {
    case .list(let elements):
      var items: [TemplateValue] = []
      for element in elements { items.append(try evaluate(element)) }
      return try makeList(items)
    case .dictionary(let members):
      var dictionary = TemplateDictionary()
      for (key, value) in members {
        guard case .string(let key) = try evaluate(key) else {
          throw place.unsupported("a dictionary key that is no string")
        }
        dictionary[key] = try evaluate(value)
      }
      try checkDepth(.dictionary(dictionary))
      return .dictionary(dictionary)
    case .slice(let base, let start, let end, let step):
      let base = try evaluate(base)
      return try slice(
        base, try bound(start), try bound(end), try bound(step) ?? 1)
    case .negated(let value):
      switch try evaluate(value) {
      case .float(let value): return .float(-value)
      case let value:
        guard let integer = value.integer, integer != .min else {
          throw place.failed("'-' cannot apply to \(value.kindName)")
        }
        return .integer(-integer)
      }
    case .arithmetic(let left, let operation, let right):
      let left = try evaluate(left)
      return try arithmetic(left, operation, try evaluate(right))
    case .joined(let parts):
      var joined = ""
      for part in parts {
        joined += try text(of: try evaluate(part))
        try charge(joined.utf8.count / 64)
      }
      return try makeString(joined)
    default: throw place.unsupported("an expression of an unknown kind")
    }
  }

  private mutating func bound(
    _ expression: TemplateExpression?
  ) throws(TokenizationFault) -> Int? {
    guard let expression else { return nil }
    let value = try evaluate(expression)
    if case .none = value { return nil }
    guard let integer = value.integer else {
      throw place.failed("a slice needs integers and got \(value.kindName)")
    }
    return integer
  }

  // MARK: - Access

  func attribute(
    _ name: String, of base: TemplateValue
  ) throws(TokenizationFault) -> TemplateValue {
    switch base {
    case .undefined(let what):
      throw place.failed("\(what) is undefined, so it has no attribute '\(name)'")
    case .namespace(let index): return namespaces[index][name] ?? .undefined("'\(name)'")
    case .loop(let loop): return try attribute(name, of: loop)
    case .dictionary(let dictionary):
      if Self.dictionaryMembers.contains(name) {
        throw place.unsupported("the dictionary's method '\(name)' without a call")
      }
      return dictionary[name] ?? .undefined("'\(name)'")
    case .string, .list, .none:
      guard !PythonText.members.contains(name) else {
        throw place.unsupported("the attribute '\(name)' of \(base.kindName)")
      }
      return .undefined("'\(name)'")
    case .integer, .float, .bool, .macro, .function:
      throw place.unsupported("the attribute '\(name)' of \(base.kindName)")
    }
  }

  static let dictionaryMembers: Set<String> = [
    "items", "keys", "values", "get", "pop", "popitem", "update", "copy", "clear", "setdefault",
    "fromkeys",
  ]

  private func attribute(
    _ name: String, of loop: TemplateLoop
  ) throws(TokenizationFault) -> TemplateValue {
    let count = loop.items.count
    switch name {
    case "index": return .integer(loop.index + 1)
    case "index0": return .integer(loop.index)
    case "revindex": return .integer(count - loop.index)
    case "revindex0": return .integer(count - loop.index - 1)
    case "first": return .bool(loop.index == 0)
    case "last": return .bool(loop.index == count - 1)
    case "length": return .integer(count)
    case "previtem":
      return loop.index > 0 ? loop.items[loop.index - 1] : .undefined("'loop.previtem'")
    case "nextitem":
      return loop.index + 1 < count ? loop.items[loop.index + 1] : .undefined("'loop.nextitem'")
    default: throw place.unsupported("'loop.\(name)'")
    }
  }

  private func item(
    _ key: TemplateValue, of base: TemplateValue
  ) throws(TokenizationFault) -> TemplateValue {
    if case .undefined(let what) = base {
      throw place.failed("\(what) is undefined, so it has no items")
    }
    switch (base, key) {
    case (.dictionary(let dictionary), .string(let name)):
      if let value = dictionary[name] { return value }
      guard !Self.dictionaryMembers.contains(name) else {
        throw place.unsupported("the dictionary's method '\(name)' as an item")
      }
      return .undefined("\(Excerpt.quoted(name))")
    case (.list(let list), _) where !list.isLazy && key.integer != nil:
      let index = key.integer ?? 0
      let position = index < 0 ? list.items.count + max(index, -list.items.count - 1) : index
      return list.items.indices.contains(position)
        ? list.items[position] : .undefined("item \(index)")
    case (.string(let text), _) where key.integer != nil:
      let index = key.integer ?? 0
      let scalars = Array(text.unicodeScalars)
      let position = index < 0 ? scalars.count + max(index, -scalars.count - 1) : index
      return scalars.indices.contains(position)
        ? .string(String(scalars[position])) : .undefined("item \(index)")
    case (_, .string(let name)): return try attribute(name, of: base)
    case (.dictionary, _): return .undefined("an item")
    default: throw place.failed("\(base.kindName) has no items with \(key.kindName) as the key")
    }
  }

  private mutating func slice(
    _ base: TemplateValue, _ start: Int?, _ end: Int?, _ step: Int
  ) throws(TokenizationFault) -> TemplateValue {
    switch base {
    case .list(let list) where !list.isLazy:
      return try makeList(try part(of: list.items, start, end, step))
    case .string(let text):
      try charge(text.utf8.count / 16)
      return try makeString(
        PythonText.string(try part(of: Array(text.unicodeScalars), start, end, step)))
    default: throw place.failed("\(base.kindName) cannot be sliced")
    }
  }

  /// Python's slice of a sequence.
  private func part<Element>(
    of items: [Element], _ start: Int?, _ end: Int?, _ step: Int
  ) throws(TokenizationFault) -> [Element] {
    guard step != 0, step > -(1 << 32), step < 1 << 32 else {
      throw place.failed("a slice has the step \(step)")
    }
    let count = items.count
    let (low, high) = step > 0 ? (0, count) : (-1, count - 1)
    func clamp(_ bound: Int) -> Int {
      let shifted = bound < 0 ? max(bound, -count - 1) + count : bound
      return min(max(shifted, low), high)
    }
    let first = start.map(clamp) ?? (step > 0 ? low : high)
    let last = end.map(clamp) ?? (step > 0 ? high : low)
    return stride(from: first, to: last, by: step).map { items[$0] }
  }
}
