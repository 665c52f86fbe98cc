/// Why a text is not strict JSON, and where.
public struct JSONError: Error, Sendable, Equatable {
  /// Byte offset of the fault in the text.
  public let offset: Int
  public let message: String
}

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
    var parser = Parser(bytes: bytes, maximumDepth: maximumDepth)
    return try parser.parseDocument()
  }

  public func parse(_ text: String) throws(JSONError) -> JSONValue {
    try parse(Array(text.utf8))
  }
}

private struct Parser {
  let bytes: [UInt8]
  let maximumDepth: Int
  var position = 0

  mutating func parseDocument() throws(JSONError) -> JSONValue {
    let value = try parseValue(depth: 0)
    skipWhitespace()
    guard position == bytes.count else {
      throw fault("unexpected text after the JSON value")
    }
    return value
  }

  func fault(_ message: String, at offset: Int? = nil) -> JSONError {
    JSONError(offset: offset ?? position, message: message)
  }

  mutating func skipWhitespace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      default: return
      }
    }
  }

  mutating func parseValue(depth: Int) throws(JSONError) -> JSONValue {
    skipWhitespace()
    guard position < bytes.count else { throw fault("the JSON ends where a value is expected") }
    switch bytes[position] {
    case UInt8(ascii: "{"): return try parseObject(depth: depth + 1)
    case UInt8(ascii: "["): return try parseArray(depth: depth + 1)
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
    case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
    case UInt8(ascii: "n"): return try parseWord("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
    default: throw fault("expected a JSON value")
    }
  }

  mutating func parseWord(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
    let expected = Array(String(describing: word).utf8)
    guard position + expected.count <= bytes.count,
      bytes[position..<(position + expected.count)].elementsEqual(expected)
    else { throw fault("expected \(word)") }
    position += expected.count
    return value
  }

  mutating func parseObject(depth: Int) throws(JSONError) -> JSONValue {
    guard depth <= maximumDepth else { throw fault("nested deeper than \(maximumDepth) levels") }
    position += 1
    var object = JSONObject()
    skipWhitespace()
    if take(UInt8(ascii: "}")) { return .object(object) }
    while true {
      skipWhitespace()
      let keyOffset = position
      guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
        throw fault("expected a name in quotes")
      }
      let key = try parseString()
      skipWhitespace()
      guard take(UInt8(ascii: ":")) else { throw fault("expected ':' after the name \"\(key)\"") }
      let value = try parseValue(depth: depth)
      guard object.insert(value, forNewKey: key) else {
        throw fault("the name \"\(key)\" stands twice in one object", at: keyOffset)
      }
      skipWhitespace()
      if take(UInt8(ascii: ",")) { continue }
      guard take(UInt8(ascii: "}")) else { throw fault("expected ',' or '}'") }
      return .object(object)
    }
  }

  mutating func parseArray(depth: Int) throws(JSONError) -> JSONValue {
    guard depth <= maximumDepth else { throw fault("nested deeper than \(maximumDepth) levels") }
    position += 1
    var values: [JSONValue] = []
    skipWhitespace()
    if take(UInt8(ascii: "]")) { return .array(values) }
    while true {
      values.append(try parseValue(depth: depth))
      skipWhitespace()
      if take(UInt8(ascii: ",")) { continue }
      guard take(UInt8(ascii: "]")) else { throw fault("expected ',' or ']'") }
      return .array(values)
    }
  }

  mutating func take(_ byte: UInt8) -> Bool {
    guard position < bytes.count, bytes[position] == byte else { return false }
    position += 1
    return true
  }

  mutating func parseNumber() throws(JSONError) -> JSONValue {
    let start = position
    _ = take(UInt8(ascii: "-"))
    let firstDigit = position
    skipDigits()
    guard position > firstDigit else { throw fault("expected a digit") }
    if bytes[firstDigit] == UInt8(ascii: "0"), position > firstDigit + 1 {
      throw fault("a number may not begin with 0", at: start)
    }
    var isInteger = true
    if take(UInt8(ascii: ".")) {
      isInteger = false
      let fraction = position
      skipDigits()
      guard position > fraction else { throw fault("expected a digit after the point") }
    }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      isInteger = false
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      let exponent = position
      skipDigits()
      guard position > exponent else { throw fault("expected a digit in the exponent") }
    }
    let literal = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger, let value = Int64(literal) { return .integer(value) }
    guard let value = Double(literal), value.isFinite else {
      throw fault("the number \(literal.prefix(40)) is out of range", at: start)
    }
    return .double(value)
  }

  mutating func skipDigits() {
    while position < bytes.count, bytes[position] >= 0x30, bytes[position] <= 0x39 {
      position += 1
    }
  }

  mutating func parseString() throws(JSONError) -> String {
    let start = position
    position += 1
    var end = position
    while end < bytes.count {
      let byte = bytes[end]
      if byte == UInt8(ascii: "\"") {
        guard let text = String(validating: bytes[position..<end], as: UTF8.self) else {
          throw fault("a string is not valid UTF-8", at: start)
        }
        position = end + 1
        return text
      }
      if byte == UInt8(ascii: "\\") { return try parseEscapedString(start: start) }
      guard byte >= 0x20 else { throw fault("a control character in a string", at: end) }
      end += 1
    }
    throw fault("a string is not closed", at: start)
  }

  mutating func parseEscapedString(start: Int) throws(JSONError) -> String {
    var text: [UInt8] = []
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let string = String(validating: text, as: UTF8.self) else {
          throw fault("a string is not valid UTF-8", at: start)
        }
        return string
      case UInt8(ascii: "\\"):
        text.append(contentsOf: try parseEscape())
      case 0..<0x20:
        throw fault("a control character in a string", at: position - 1)
      default:
        text.append(byte)
      }
    }
    throw fault("a string is not closed", at: start)
  }

  mutating func parseEscape() throws(JSONError) -> [UInt8] {
    guard position < bytes.count else { throw fault("a string is not closed") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"): return Array(String(try parseUnicodeEscape()).utf8)
    default: throw fault("an unknown escape in a string", at: position - 1)
    }
  }

  mutating func parseUnicodeEscape() throws(JSONError) -> Character {
    let start = position - 2
    let first = try parseHexadecimal()
    if let scalar = Unicode.Scalar(UInt32(first)) { return Character(scalar) }
    guard UTF16.isLeadSurrogate(first), position + 1 < bytes.count,
      bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u")
    else { throw fault("a lone surrogate in a string", at: start) }
    position += 2
    let second = try parseHexadecimal()
    guard UTF16.isTrailSurrogate(second) else { throw fault("a lone surrogate", at: start) }
    let pair = 0x10000 + (UInt32(first & 0x3FF) << 10) + UInt32(second & 0x3FF)
    guard let scalar = Unicode.Scalar(pair) else { throw fault("a lone surrogate", at: start) }
    return Character(scalar)
  }

  mutating func parseHexadecimal() throws(JSONError) -> UInt16 {
    guard position + 4 <= bytes.count else { throw fault("a string is not closed") }
    let digits = bytes[position..<(position + 4)]
    guard digits.allSatisfy({ isHexadecimal($0) }),
      let value = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
    else { throw fault("expected four hexadecimal digits") }
    position += 4
    return value
  }

  func isHexadecimal(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
    default: false
    }
  }
}
