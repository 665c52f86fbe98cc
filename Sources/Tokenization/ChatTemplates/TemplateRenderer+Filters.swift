import StrictJSON

extension TemplateRenderer {
  static let filters: Set<String> = [
    "trim", "length", "count", "upper", "lower", "capitalize", "tojson", "default", "d", "join",
    "list", "items", "first", "last", "replace", "string", "int", "select", "reject",
    "selectattr", "rejectattr", "map",
  ]

  mutating func filter(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateCallValues
  ) throws(TokenizationFault) -> TemplateValue {
    let callee = "the filter '\(name)'"
    func check(_ names: [String], atLeast: Int = 0) throws(TokenizationFault) {
      try self.check(arguments, of: callee, names, atLeast: atLeast)
    }
    switch name {
    case "trim":
      try check(["chars"])
      return try makeString(
        PythonText.strip(
          try text(of: value), arguments.value(0, "chars")?.string, left: true, right: true))
    case "upper", "lower", "capitalize":
      try check([])
      return try changeCase(name, try text(of: value))
    case "string":
      try check([])
      return try makeString(try text(of: value))
    case "length", "count":
      try check([])
      return .integer(try length(of: value))
    case "default", "d":
      try check(["default_value", "boolean"])
      let usesTruth = arguments.value(1, "boolean")?.isTrue ?? false
      let isMissing = value.isUndefined || (usesTruth && !value.isTrue)
      return isMissing ? arguments.value(0, "default_value") ?? .string("") : value
    case "replace":
      try check(["old", "new", "count"], atLeast: 2)
      guard arguments.named.isEmpty else {
        throw place.unsupported("named arguments of \(callee)")
      }
      return try replace(try text(of: value), arguments.positional)
    case "int":
      try check(["default"])
      return try integer(value, otherwise: arguments.value(0, "default") ?? .integer(0))
    case "tojson":
      try check(["indent", "ensure_ascii", "sort_keys"])
      return try json(value, arguments)
    default: return try listFilter(name, value, arguments)
    }
  }

  /// The filters that take or make lists.
  private mutating func listFilter(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateCallValues
  ) throws(TokenizationFault) -> TemplateValue {
    let callee = "the filter '\(name)'"
    switch name {
    case "join":
      try check(arguments, of: callee, ["d"])
      let separator = try text(of: arguments.value(0, "d") ?? .string(""))
      var joined = ""
      for (index, item) in try items(of: value, callee).enumerated() {
        if index > 0 { joined += separator }
        joined += try text(of: item)
        guard joined.utf8.count <= TemplateLimit.outputBytes else { break }
      }
      return try makeString(joined)
    case "list":
      try check(arguments, of: callee, [])
      return try makeList(try items(of: value, callee))
    case "first", "last":
      try check(arguments, of: callee, [])
      if name == "last", case .list(let list) = value, list.isLazy {
        throw place.failed("\(callee) needs a list, not the result of a filter")
      }
      let items = try items(of: value, callee)
      return (name == "first" ? items.first : items.last) ?? .undefined("an item of nothing")
    case "items":
      try check(arguments, of: callee, [])
      switch value {
      case .undefined: return try makeList([], isLazy: true)
      case .dictionary(let dictionary): return try pairs(of: dictionary, isLazy: true)
      default: throw place.failed("\(callee) cannot take \(value.kindName)")
      }
    case "select", "reject", "selectattr", "rejectattr": return try select(name, value, arguments)
    default: return try map(value, arguments)
    }
  }

  private func length(of value: TemplateValue) throws(TokenizationFault) -> Int {
    switch value {
    case .undefined: return 0
    case .string(let text): return text.unicodeScalars.count
    case .list(let list) where !list.isLazy: return list.items.count
    case .dictionary(let dictionary): return dictionary.keys.count
    case .list: throw place.failed("the result of a filter has no length before 'list'")
    default: throw place.failed("\(value.kindName) has no length")
    }
  }

  private func integer(
    _ value: TemplateValue, otherwise: TemplateValue
  ) throws(TokenizationFault) -> TemplateValue {
    if let integer = value.integer { return .integer(integer) }
    switch value {
    case .float(let double):
      guard let integer = Int(exactly: double.rounded(.towardZero)) else { return otherwise }
      return .integer(integer)
    case .string(let text):
      let stripped = PythonText.strip(text, nil, left: true, right: true)
      if let integer = Int(stripped) { return .integer(integer) }
      guard !stripped.unicodeScalars.contains(where: { $0.properties.numericType != nil }) else {
        throw place.unsupported("the filter 'int' of \(Excerpt.quoted(text))")
      }
      return otherwise
    case .undefined(let what): throw place.failed("\(what) is undefined, so 'int' cannot take it")
    default: return otherwise
    }
  }

  // MARK: - Selection

  /// The attribute that a dotted path names, as the filters with attributes take it.
  private func attribute(
    path: TemplateValue?, of item: TemplateValue, _ callee: String
  ) throws(TokenizationFault) -> TemplateValue {
    guard let path = path?.string else {
      throw place.unsupported("\(callee) without the name of an attribute")
    }
    var value = item
    for name in PythonText.split(path, ".") {
      switch value {
      case .dictionary(let dictionary): value = dictionary[name] ?? .undefined("'\(name)'")
      default: value = try attribute(name, of: value)
      }
    }
    return value
  }

  private mutating func select(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateCallValues
  ) throws(TokenizationFault) -> TemplateValue {
    let callee = "the filter '\(name)'"
    guard arguments.named.isEmpty else { throw place.unsupported("named arguments of \(callee)") }
    let takesAttribute = name.hasSuffix("attr")
    let path = takesAttribute ? arguments.positional.first : nil
    let rest = arguments.positional.dropFirst(takesAttribute ? 1 : 0)
    let testName = rest.first.map { $0.string ?? "" }
    if let testName, !Self.tests.contains(testName) {
      throw place.unsupported("the test \(Excerpt.quoted(testName))")
    }
    var kept: [TemplateValue] = []
    for item in try items(of: value, callee) {
      try charge(1)
      let tested = takesAttribute ? try attribute(path: path, of: item, callee) : item
      let holds =
        if let testName {
          try test(testName, tested, Array(rest.dropFirst()))
        } else {
          tested.isTrue
        }
      if holds == name.hasPrefix("select") { kept.append(item) }
    }
    return try makeList(kept, isLazy: true)
  }

  private mutating func map(
    _ value: TemplateValue, _ arguments: TemplateCallValues
  ) throws(TokenizationFault) -> TemplateValue {
    let callee = "the filter 'map'"
    let items = try items(of: value, callee)
    var mapped: [TemplateValue] = []
    if let path = arguments.named.first(where: { $0.name == "attribute" })?.value {
      guard arguments.named.count == 1, arguments.positional.isEmpty else {
        throw place.unsupported("\(callee) with more than an attribute")
      }
      for item in items {
        try charge(1)
        mapped.append(try attribute(path: path, of: item, callee))
      }
    } else {
      guard let filterName = arguments.positional.first?.string,
        Self.filters.contains(filterName), filterName != "map"
      else { throw place.unsupported("\(callee) without an attribute or a filter known here") }
      var rest = arguments
      rest.positional.removeFirst()
      for item in items {
        try charge(1)
        mapped.append(try filter(filterName, item, rest))
      }
    }
    return try makeList(mapped, isLazy: true)
  }

  // MARK: - JSON

  private mutating func json(
    _ value: TemplateValue, _ arguments: TemplateCallValues
  ) throws(TokenizationFault) -> TemplateValue {
    for name in ["ensure_ascii", "sort_keys"] {
      if let flag = arguments.named.first(where: { $0.name == name })?.value, flag.isTrue {
        throw place.unsupported("'tojson' with \(name)")
      }
    }
    guard arguments.positional.isEmpty else {
      throw place.unsupported("positional arguments of 'tojson'")
    }
    var indent: Int?
    if let given = arguments.named.first(where: { $0.name == "indent" })?.value {
      if case .none = given {
      } else {
        guard let width = given.integer, (0...16).contains(width) else {
          throw place.unsupported("'tojson' with this indent")
        }
        indent = width
      }
    }
    try charge(Self.size(of: value, limit: TemplateLimit.steps))
    var writer = PythonJSONWriter(indent: indent, place: place)
    try writer.write(value, depth: 0)
    return try makeString(writer.text)
  }
}
