/// Limits and options of one parse.
public struct JSONParsing: Sendable {
  /// Objects and arrays deeper than this are refused (a depth bomb would exhaust the stack).
  public var maximumDepth = 64

  public init() {}

  /// Parses RFC 8259 JSON; refuses duplicate names, invalid UTF-8, a byte order mark, lone
  /// surrogates and anything but white space after the value.
  ///
  /// Complexity: linear in the length of the text; memory is proportional to it.
  public func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
    var reader = JSONReader(bytes, maximumDepth: maximumDepth)
    let value = try reader.readValue()
    try reader.finish()
    return value
  }

  public func parse(_ text: String) throws(JSONError) -> JSONValue {
    try parse(Array(text.utf8))
  }
}

extension JSONReader {
  /// Reads the next value, whatever it is, with everything in it.
  public mutating func readValue() throws(JSONError) -> JSONValue {
    switch try nextKind() {
    case .object:
      var object = JSONObject()
      try beginObject()
      while let name = try nextName() {
        let start = nameOffset
        guard object.insert(try readValue(), forNewKey: name) else {
          throw JSONError(
            offset: start,
            message: "the name \(Excerpt.quoted(name)) stands twice in one object")
        }
      }
      return .object(object)
    case .array:
      var elements: [JSONValue] = []
      try beginArray()
      while try nextElement() { elements.append(try readValue()) }
      return .array(elements)
    case .string: return .string(try readString())
    case .number: return try readNumber()
    case .bool: return .bool(try readBool())
    case .null:
      try readNull()
      return .null
    }
  }
}
