import StrictJSON

/// A value of the template language, which is that of Python.
enum TemplateValue: Sendable {
  /// What a missing name or attribute evaluates to, described for faults.
  case undefined(String)
  case none
  case bool(Bool)
  case integer(Int)
  case float(Double)
  case string(String)
  case list(TemplateList)
  case dictionary(TemplateDictionary)
  /// Index among the renderer's namespaces.
  case namespace(Int)
  case loop(TemplateLoop)
  /// Index among the template's macros.
  case macro(Int)
  case function(TemplateFunction)

  /// How many levels of lists and dictionaries this value has.
  var depth: Int {
    switch self {
    case .list(let list): list.depth
    case .dictionary(let dictionary): dictionary.depth
    default: 0
    }
  }

  var isUndefined: Bool { if case .undefined = self { true } else { false } }

  /// What kind of value this is, for faults.
  var kindName: String {
    switch self {
    case .undefined(let what): "\(what), which is undefined,"
    case .none: "none"
    case .bool: "a boolean"
    case .integer: "an integer"
    case .float: "a number"
    case .string: "a string"
    case .list: "a list"
    case .dictionary: "a dictionary"
    case .namespace: "a namespace"
    case .loop: "the loop variable"
    case .macro: "a macro"
    case .function: "a function"
    }
  }

  /// A number where this is one; booleans count as 0 and 1.
  var integer: Int? {
    switch self {
    case .integer(let value): value
    case .bool(let value): value ? 1 : 0
    default: nil
    }
  }

  var double: Double? {
    if case .float(let value) = self { return value }
    return integer.map(Double.init)
  }

  var string: String? { if case .string(let value) = self { value } else { nil } }

  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .integer(let value): value != 0
    case .float(let value): value != 0
    case .string(let value): !value.isEmpty
    case .list(let list): list.isLazy || !list.items.isEmpty
    case .dictionary(let dictionary): !dictionary.keys.isEmpty
    case .namespace, .loop, .macro, .function: true
    }
  }
}

/// The functions a template can call by name.
enum TemplateFunction: String, Sendable, CaseIterable {
  case raiseException = "raise_exception"
  case strftimeNow = "strftime_now"
  case namespace
  case range
}

struct TemplateList: Sendable {
  let items: [TemplateValue]
  let depth: Int
  /// Whether Python has a generator here: true even if empty, without length or elements.
  let isLazy: Bool

  init(_ items: [TemplateValue], isLazy: Bool = false) {
    self.items = items
    self.isLazy = isLazy
    depth = 1 + (items.lazy.map(\.depth).max() ?? 0)
  }
}

/// A dictionary with strings as keys, in the order of insertion.
struct TemplateDictionary: Sendable {
  private(set) var keys: [String] = []
  private(set) var values: [TemplateValue] = []
  private(set) var depth = 1

  subscript(key: String) -> TemplateValue? {
    get { keys.firstIndex { PythonText.equal($0, key) }.map { values[$0] } }
    set {
      guard let newValue else { return }
      depth = max(depth, 1 + newValue.depth)
      if let index = keys.firstIndex(where: { PythonText.equal($0, key) }) {
        values[index] = newValue
      } else {
        keys.append(key)
        values.append(newValue)
      }
    }
  }
}

/// What `loop` is in one round.
struct TemplateLoop: Sendable {
  let index: Int
  let items: [TemplateValue]
}

extension TemplateValue {
  /// - Parameter depth: how many levels may follow; nil where the value has more.
  init?(_ value: JSONValue, depth: Int = TemplateLimit.valueDepth) {
    guard depth > 0 else { return nil }
    switch value {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .integer(Int(value))
    case .double(let value): self = .float(value)
    case .string(let value): self = .string(value)
    case .array(let values):
      var items: [TemplateValue] = []
      for value in values {
        guard let item = TemplateValue(value, depth: depth - 1) else { return nil }
        items.append(item)
      }
      self = .list(TemplateList(items))
    case .object(let object):
      var dictionary = TemplateDictionary()
      for (key, value) in object.members {
        guard let item = TemplateValue(value, depth: depth - 1) else { return nil }
        dictionary[key] = item
      }
      self = .dictionary(dictionary)
    }
  }

  /// Whether Python's `==` holds.
  static func equal(_ left: TemplateValue, _ right: TemplateValue) -> Bool {
    switch (left, right) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let left), .string(let right)): return PythonText.equal(left, right)
    case (.list(let left), .list(let right)):
      return left.items.count == right.items.count
        && zip(left.items, right.items).allSatisfy { equal($0, $1) }
    case (.dictionary(let left), .dictionary(let right)):
      return left.keys.count == right.keys.count
        && zip(left.keys, left.values).allSatisfy { key, value in
          right[key].map { equal(value, $0) } ?? false
        }
    case (.namespace(let left), .namespace(let right)): return left == right
    case (.macro(let left), .macro(let right)): return left == right
    case (.function(let left), .function(let right)): return left == right
    default:
      if let left = left.integer, let right = right.integer { return left == right }
      guard let left = left.double, let right = right.double else { return false }
      return left == right
    }
  }
}
