/// A JSON value as RFC 8259 defines it, with integers kept apart from other numbers.
public indirect enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  /// A number written without fraction or exponent that fits 64 bits.
  case integer(Int64)
  /// Every other number.
  case double(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)
}

/// A JSON object that remembers the order of its members and holds each name once.
public struct JSONObject: Sendable, Equatable, ExpressibleByDictionaryLiteral {
  public private(set) var keys: [String] = []
  public private(set) var values: [JSONValue] = []
  private var indexByKey: [String: Int] = [:]

  public init() {}

  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    for (key, value) in elements { self[key] = value }
  }

  public var count: Int { keys.count }

  /// Reads a member, replaces it, appends it, or (with nil) removes it (linear when removing).
  public subscript(key: String) -> JSONValue? {
    get { indexByKey[key].map { values[$0] } }
    set {
      switch (indexByKey[key], newValue) {
      case (let index?, let value?): values[index] = value
      case (nil, let value?): _ = insert(value, forNewKey: key)
      case (let index?, nil):
        keys.remove(at: index)
        values.remove(at: index)
        indexByKey.removeValue(forKey: key)
        for position in index..<keys.count { indexByKey[keys[position]] = position }
      case (nil, nil): break
      }
    }
  }

  /// Appends a member and says whether the name was new; an existing member stays as it is.
  mutating func insert(_ value: JSONValue, forNewKey key: String) -> Bool {
    guard indexByKey[key] == nil else { return false }
    indexByKey[key] = keys.count
    keys.append(key)
    values.append(value)
    return true
  }

  /// The members in order.
  public var members: Zip2Sequence<[String], [JSONValue]> { zip(keys, values) }

  /// Two objects are equal when they hold the same members, whatever the order.
  public static func == (left: JSONObject, right: JSONObject) -> Bool {
    left.count == right.count && left.members.allSatisfy { right[$0] == $1 }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
  ExpressibleByFloatLiteral, ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(nilLiteral: ()) { self = .null }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    var object = JSONObject()
    for (key, value) in elements { object[key] = value }
    self = .object(object)
  }
}

extension JSONValue {
  public init(_ value: Int) { self = .integer(Int64(value)) }

  public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
  public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var isNull: Bool { self == .null }

  /// An integer that fits `Int`; nil for 4.0 and 1e3, which are not written as integers.
  public var int: Int? { if case .integer(let value) = self { Int(value) } else { nil } }

  /// Any number as a double.
  public var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  public subscript(key: String) -> JSONValue? { object?[key] }

  /// What kind of value this is, for error sentences.
  public var kindName: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer: "an integer"
    case .double: "a number with a fraction or exponent"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}
