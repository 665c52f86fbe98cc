import StrictJSON

extension TemplateRenderer {
  mutating func arithmetic(
    _ left: TemplateValue, _ operation: String, _ right: TemplateValue
  ) throws(TokenizationFault) -> TemplateValue {
    switch (left, operation, right) {
    case (.string(let left), "+", .string(let right)): return try makeString(left + right)
    case (.list(let left), "+", .list(let right)) where !left.isLazy && !right.isLazy:
      return try makeList(left.items + right.items)
    case (.string, "*", _), (_, "*", .string), (.string, "%", _), (.list, "*", _), (_, "*", .list):
      throw place.unsupported("'\(operation)' of a string or a list")
    default: break
    }
    if operation != "/", let left = left.integer, let right = right.integer {
      return .integer(try integers(left, operation, right))
    }
    guard let left = left.double, let right = right.double else {
      throw place.failed(
        "'\(operation)' cannot take \(left.kindName) and \(right.kindName)")
    }
    switch operation {
    case "+": return .float(left + right)
    case "-": return .float(left - right)
    case "*": return .float(left * right)
    case "/" where right != 0: return .float(left / right)
    case "/": throw place.failed("'/' divides by zero")
    default: throw place.unsupported("'\(operation)' of numbers with a fraction")
    }
  }

  /// Python's operators on integers; division rounds down.
  private func integers(
    _ left: Int, _ operation: String, _ right: Int
  ) throws(TokenizationFault) -> Int {
    let result: (partialValue: Int, overflow: Bool)
    switch operation {
    case "+": result = left.addingReportingOverflow(right)
    case "-": result = left.subtractingReportingOverflow(right)
    case "*": result = left.multipliedReportingOverflow(by: right)
    default:
      guard right != 0 else { throw place.failed("'\(operation)' divides by zero") }
      guard right != -1 || left != .min else { throw place.excess("integers beyond 64 bits") }
      let (quotient, remainder) = left.quotientAndRemainder(dividingBy: right)
      let isBelow = remainder != 0 && (remainder < 0) != (right < 0)
      if operation == "//" { return isBelow ? quotient - 1 : quotient }
      return isBelow ? remainder + right : remainder
    }
    guard !result.overflow else { throw place.excess("integers beyond 64 bits") }
    return result.partialValue
  }

  mutating func compare(
    _ first: TemplateExpression, _ links: [(operation: String, right: TemplateExpression)]
  ) throws(TokenizationFault) -> TemplateValue {
    var left = try evaluate(first)
    for (operation, right) in links {
      let right = try evaluate(right)
      if !(try holds(left, operation, right)) { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  mutating func holds(
    _ left: TemplateValue, _ operation: String, _ right: TemplateValue
  ) throws(TokenizationFault) -> Bool {
    try chargeComparison(left)
    switch operation {
    case "==": return TemplateValue.equal(left, right)
    case "!=": return !TemplateValue.equal(left, right)
    case "in": return try contains(right, left)
    case "not in": return !(try contains(right, left))
    default: break
    }
    if case .string(let left) = left, case .string(let right) = right {
      let precedes = left.utf8.lexicographicallyPrecedes(right.utf8)
      let equal = PythonText.equal(left, right)
      switch operation {
      case "<": return precedes
      case "<=": return precedes || equal
      case ">": return !precedes && !equal
      default: return !precedes
      }
    }
    if case .list = left, case .list = right { throw place.unsupported("the order of lists") }
    guard let left = left.double, let right = right.double else {
      throw place.failed(
        "'\(operation)' cannot take \(left.kindName) and \(right.kindName)")
    }
    switch operation {
    case "<": return left < right
    case "<=": return left <= right
    case ">": return left > right
    default: return left >= right
    }
  }

  private mutating func chargeComparison(_ value: TemplateValue) throws(TokenizationFault) {
    switch value {
    case .string(let text): try charge(text.utf8.count / 64)
    case .list, .dictionary: try charge(Self.size(of: value, limit: TemplateLimit.steps))
    default: break
    }
  }

  /// How many values a value holds, itself included.
  static func size(of value: TemplateValue, limit: Int) -> Int {
    var items: [TemplateValue]
    switch value {
    case .list(let list): items = list.items
    case .dictionary(let dictionary): items = dictionary.values
    default: return 1
    }
    var total = 1
    while let item = items.popLast(), total < limit {
      total += size(of: item, limit: limit - total)
    }
    return total
  }

  private mutating func contains(
    _ container: TemplateValue, _ value: TemplateValue
  ) throws(TokenizationFault) -> Bool {
    switch (container, value) {
    case (.string(let text), .string(let part)):
      try charge(text.utf8.count / 16)
      return PythonText.contains(text, part)
    case (.list(let list), _):
      try charge(list.items.count)
      return list.items.contains { TemplateValue.equal($0, value) }
    case (.dictionary(let dictionary), .string(let key)): return dictionary[key] != nil
    case (.dictionary, _), (.undefined, _): return false
    default:
      throw place.failed("'in' cannot look for \(value.kindName) in \(container.kindName)")
    }
  }

  // MARK: - Tests

  static let tests: Set<String> = [
    "defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number",
    "integer", "float", "boolean", "true", "false", "odd", "even", "divisibleby", "eq", "equalto",
    "ne", "in", "lt", "le", "gt", "ge",
  ]

  private static let comparingTests = [
    "eq": "==", "equalto": "==", "ne": "!=", "in": "in", "lt": "<", "le": "<=", "gt": ">",
    "ge": ">=",
  ]

  mutating func test(
    _ name: String, _ value: TemplateValue, _ arguments: [TemplateValue]
  ) throws(TokenizationFault) -> Bool {
    let operation = Self.comparingTests[name]
    let wanted = operation != nil || name == "divisibleby" ? 1 : 0
    guard arguments.count == wanted else {
      throw place.malformed("\(arguments.count) arguments of the test '\(name)'")
    }
    if let operation { return try holds(value, operation, arguments[0]) }
    switch name {
    case "defined": return !value.isUndefined
    case "undefined": return value.isUndefined
    case "none": if case .none = value { return true }
    case "string": if case .string = value { return true }
    case "mapping": if case .dictionary = value { return true }
    case "iterable":
      switch value {
      case .undefined, .string, .list, .dictionary: return true
      default: return false
      }
    case "sequence":
      switch value {
      case .list(let list): return !list.isLazy
      case .undefined: throw place.unsupported("the test 'sequence' of what is undefined")
      case .string, .dictionary: return true
      default: return false
      }
    case "number": return value.double != nil
    case "integer": if case .integer = value { return true }
    case "float": if case .float = value { return true }
    case "boolean": if case .bool = value { return true }
    case "true": if case .bool(let value) = value { return value }
    case "false": if case .bool(let value) = value { return !value }
    default:
      guard let divisor = name == "divisibleby" ? arguments[0].integer : 2,
        let integer = value.integer
      else { throw place.failed("the test '\(name)' cannot take \(value.kindName)") }
      return try integers(integer, "%", divisor) == (name == "odd" ? 1 : 0)
    }
    return false
  }
}
