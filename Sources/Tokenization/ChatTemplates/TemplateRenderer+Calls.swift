import StrictJSON

/// Arguments of a call, evaluated.
struct TemplateCallValues {
  var positional: [TemplateValue] = []
  var named: [(name: String, value: TemplateValue)] = []

  /// The argument at a position or of a name.
  func value(_ index: Int, _ name: String) -> TemplateValue? {
    index < positional.count ? positional[index] : named.first { $0.name == name }?.value
  }
}

extension TemplateRenderer {
  mutating func evaluate(
    _ arguments: TemplateArguments
  ) throws(TokenizationFault) -> TemplateCallValues {
    var values = TemplateCallValues()
    for argument in arguments.positional { values.positional.append(try evaluate(argument)) }
    for (name, value) in arguments.named { values.named.append((name, try evaluate(value))) }
    return values
  }

  /// Throws a fault where a call has arguments besides these.
  func check(
    _ arguments: TemplateCallValues, of callee: String, _ names: [String], atLeast: Int = 0
  ) throws(TokenizationFault) {
    let count = arguments.positional.count
    let missing = names.prefix(atLeast).dropFirst(count).contains { name in
      !arguments.named.contains { $0.name == name }
    }
    guard count <= names.count, !missing else {
      throw place.malformed("\(count) arguments of \(callee)")
    }
    for (name, _) in arguments.named where !names.dropFirst(count).contains(name) {
      throw place.unsupported("the argument '\(name)' of \(callee)")
    }
  }

  mutating func call(
    _ target: TemplateExpression, _ arguments: TemplateArguments
  ) throws(TokenizationFault) -> TemplateValue {
    if case .attribute(let base, let name) = target {
      let base = try evaluate(base)
      let values = try evaluate(arguments)
      switch base {
      case .string(let text): return try callMethod(name, of: text, values)
      case .dictionary(let dictionary): return try callMethod(name, of: dictionary, values)
      case .undefined(let what):
        throw place.failed("\(what) is undefined, so '\(name)' cannot be called")
      default: throw place.unsupported("the method '\(name)' of \(base.kindName)")
      }
    }
    let callee = try evaluate(target)
    let values = try evaluate(arguments)
    switch callee {
    case .function(let function): return try call(function, values)
    case .macro(let index): return try call(macros[index], values)
    case .undefined(let what):
      throw place.unsupported("the function \(what)")
    default: throw place.failed("\(callee.kindName) cannot be called")
    }
  }

  private mutating func call(
    _ function: TemplateFunction, _ values: TemplateCallValues
  ) throws(TokenizationFault) -> TemplateValue {
    let callee = "'\(function.rawValue)'"
    switch function {
    case .raiseException:
      try check(values, of: callee, ["message"], atLeast: 1)
      throw place.refused(try text(of: values.value(0, "message") ?? .none))
    case .strftimeNow:
      try check(values, of: callee, ["format"], atLeast: 1)
      guard let format = values.value(0, "format")?.string else {
        throw place.failed("\(callee) needs a format")
      }
      return try makeString(try formatDate(format))
    case .namespace:
      try check(values, of: callee, values.named.map(\.name))
      guard values.positional.isEmpty else { throw place.unsupported("a namespace of a value") }
      var dictionary = TemplateDictionary()
      for (name, value) in values.named { dictionary[name] = value }
      try checkDepth(.dictionary(dictionary))
      namespaces.append(dictionary)
      return .namespace(namespaces.count - 1)
    case .range:
      try check(values, of: callee, values.named.isEmpty ? ["start", "stop", "step"] : [])
      let bounds = values.positional.compactMap(\.integer)
      guard !bounds.isEmpty, bounds.count == values.positional.count,
        bounds.allSatisfy({ $0.magnitude < 1 << 40 })
      else {
        throw place.failed("\(callee) needs small integers")
      }
      let (start, end) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
      let step = bounds.count == 3 ? bounds[2] : 1
      guard step != 0 else { throw place.failed("\(callee) has the step 0") }
      let items = stride(from: start, to: end, by: step).lazy.prefix(TemplateLimit.listCount + 1)
      return try makeList(items.map { .integer($0) })
    }
  }

  private func formatDate(_ format: String) throws(TokenizationFault) -> String {
    guard let date, date.isSound else { throw place.failed("the date is not one") }
    var text = ""
    var scalars = format.unicodeScalars.makeIterator()
    while let scalar = scalars.next() {
      if scalar != "%" {
        text.unicodeScalars.append(scalar)
      } else if let letter = scalars.next(), let part = date.formatted(letter) {
        text += part
      } else {
        throw place.unsupported("the date format \(Excerpt.quoted(format))")
      }
    }
    return text
  }

  private mutating func call(
    _ macro: TemplateMacro, _ values: TemplateCallValues
  ) throws(TokenizationFault) -> TemplateValue {
    let callee = "the macro '\(macro.name)'"
    let names = macro.parameters.map(\.name)
    try check(values, of: callee, names)
    let outer = scopes
    let line = place.line
    scopes = Array(outer.prefix(2))
    scopes.append([:])
    for (index, parameter) in macro.parameters.enumerated() {
      if let value = values.value(index, parameter.name) {
        assign(value, to: parameter.name)
      } else if let value = parameter.value {
        assign(try evaluate(value), to: parameter.name)
      } else {
        assign(.undefined("'\(parameter.name)'"), to: parameter.name)
      }
    }
    let text = try capture(macro.body, names: [:])
    scopes = outer
    place.line = line
    return text
  }

  // MARK: - Methods

  private mutating func callMethod(
    _ name: String, of dictionary: TemplateDictionary, _ values: TemplateCallValues
  ) throws(TokenizationFault) -> TemplateValue {
    let callee = "'\(name)'"
    switch name {
    case "get":
      try check(values, of: callee, ["key", "default"], atLeast: 1)
      guard values.named.isEmpty else { throw place.unsupported("named arguments of 'get'") }
      return values.positional[0].string.flatMap { dictionary[$0] }
        ?? values.value(1, "default") ?? .none
    case "items", "keys", "values":
      try check(values, of: callee, [])
      switch name {
      case "keys": return try makeList(dictionary.keys.map { .string($0) })
      case "values": return try makeList(dictionary.values)
      default: return try pairs(of: dictionary)
      }
    default: throw place.unsupported("the method '\(name)' of a dictionary")
    }
  }

  mutating func pairs(
    of dictionary: TemplateDictionary, isLazy: Bool = false
  ) throws(TokenizationFault) -> TemplateValue {
    let pairs = zip(dictionary.keys, dictionary.values).map { key, value in
      TemplateValue.list(TemplateList([.string(key), value]))
    }
    return try makeList(pairs, isLazy: isLazy)
  }

  private mutating func callMethod(
    _ name: String, of text: String, _ values: TemplateCallValues
  ) throws(TokenizationFault) -> TemplateValue {
    try charge(text.utf8.count / 16)
    let callee = "'\(name)'"
    guard values.named.isEmpty else { throw place.unsupported("named arguments of \(callee)") }
    let arguments = values.positional
    func string(_ index: Int) throws(TokenizationFault) -> String? {
      guard index < arguments.count else { return nil }
      if case .none = arguments[index] { return nil }
      guard let text = arguments[index].string else {
        throw place.failed("\(callee) cannot take \(arguments[index].kindName)")
      }
      return text
    }
    switch name {
    case "strip", "lstrip", "rstrip":
      try check(values, of: callee, ["characters"])
      return try makeString(
        PythonText.strip(text, try string(0), left: name != "rstrip", right: name != "lstrip"))
    case "startswith", "endswith":
      try check(values, of: callee, ["part"], atLeast: 1)
      guard let part = try string(0) else { throw place.failed("\(callee) needs a text") }
      return .bool(
        name == "startswith"
          ? PythonText.hasPrefix(text, part) : PythonText.hasSuffix(text, part))
    case "split":
      try check(values, of: callee, ["separator", "limit"])
      let limit = arguments.count > 1 ? arguments[1].integer ?? -1 : -1
      guard let separator = try string(0) else {
        guard limit < 0 else { throw place.unsupported("'split' of words with a limit") }
        return try makeList(PythonText.words(text).map { .string($0) })
      }
      guard !separator.isEmpty else { throw place.failed("'split' has an empty separator") }
      let parts = PythonText.split(text, separator, limit: limit < 0 ? .max : limit)
      return try makeList(parts.map { .string($0) })
    case "replace":
      try check(values, of: callee, ["old", "new", "count"], atLeast: 2)
      return try replace(text, arguments)
    case "upper", "lower", "title", "capitalize":
      try check(values, of: callee, [])
      return try changeCase(name, text)
    default: throw place.unsupported("the method '\(name)' of a string")
    }
  }

  mutating func replace(
    _ text: String, _ arguments: [TemplateValue]
  ) throws(TokenizationFault) -> TemplateValue {
    guard let old = arguments[0].string, let new = arguments[1].string, !old.isEmpty else {
      throw place.unsupported("'replace' of anything but a text that is not empty by a text")
    }
    let limit = arguments.count > 2 ? arguments[2].integer ?? -1 : -1
    let parts = PythonText.split(text, old, limit: limit < 0 ? .max : limit)
    let (bytes, overflow) = new.utf8.count.multipliedReportingOverflow(by: parts.count - 1)
    guard !overflow, bytes <= TemplateLimit.outputBytes else {
      throw place.excess("a text of more than \(TemplateLimit.outputBytes) bytes")
    }
    return try makeString(parts.joined(separator: new))
  }

  mutating func changeCase(
    _ name: String, _ text: String
  ) throws(TokenizationFault) -> TemplateValue {
    let changed: String? =
      switch name {
      case "upper": PythonText.upper(text)
      case "lower": PythonText.lower(text)
      case "title": PythonText.title(text)
      default: PythonText.capitalize(text)
      }
    guard let changed else { throw place.unsupported("'\(name)' of a text with a Greek sigma") }
    return try makeString(changed)
  }
}
