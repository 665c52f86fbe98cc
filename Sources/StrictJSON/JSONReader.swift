/// Reads JSON piece by piece, so that a large text need not become a tree of values.
///
/// The caller asks for what it expects: `beginObject`, then `nextName` and a value until
/// `nextName` returns nil; `beginArray`, then a value as long as `nextElement` returns true.
/// Whoever reads an object this way looks for repeated names itself; `readValue` does so.
public struct JSONReader {
  /// What kind of value comes next.
  public enum Kind: Sendable { case object, array, string, number, bool, null }

  let bytes: [UInt8]
  let maximumDepth: Int
  /// Where the reader stands.
  public internal(set) var offset = 0
  /// Where the name that `nextName` returned last begins.
  public private(set) var nameOffset = 0
  /// For each open object or array, whether a member was read already.
  private var hasMember: [Bool] = []

  public init(_ bytes: [UInt8], maximumDepth: Int = 64) {
    self.bytes = bytes
    self.maximumDepth = maximumDepth
  }

  func fault(_ message: String, at position: Int? = nil) -> JSONError {
    JSONError(offset: position ?? offset, message: message)
  }

  mutating func skipWhitespace() {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x09, 0x0A, 0x0D: offset += 1
      default: return
      }
    }
  }

  mutating func take(_ byte: UInt8) -> Bool {
    guard offset < bytes.count, bytes[offset] == byte else { return false }
    offset += 1
    return true
  }

  /// The kind of the next value, which stays unread.
  public mutating func nextKind() throws(JSONError) -> Kind {
    skipWhitespace()
    guard offset < bytes.count else { throw fault("the JSON ends where a value is expected") }
    switch bytes[offset] {
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
    case UInt8(ascii: "n"): return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
    default: throw fault("expected a JSON value")
    }
  }

  public mutating func beginObject() throws(JSONError) { try begin(UInt8(ascii: "{"), "an object") }

  public mutating func beginArray() throws(JSONError) { try begin(UInt8(ascii: "["), "an array") }

  private mutating func begin(_ byte: UInt8, _ name: String) throws(JSONError) {
    skipWhitespace()
    guard take(byte) else { throw fault("expected \(name)") }
    guard hasMember.count < maximumDepth else {
      throw fault("nested deeper than \(maximumDepth) levels", at: offset - 1)
    }
    hasMember.append(false)
  }

  /// The name of the next member of the innermost object; nil when the object ends.
  public mutating func nextName() throws(JSONError) -> String? {
    guard try nextMember(before: UInt8(ascii: "}"), "'}'") else { return nil }
    skipWhitespace()
    nameOffset = offset
    guard offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") else {
      throw fault("expected a name in quotes")
    }
    let name = try readString()
    skipWhitespace()
    guard take(UInt8(ascii: ":")) else {
      throw fault("expected ':' after the name \(Excerpt.quoted(name))")
    }
    return name
  }

  /// Whether the innermost array has a further element; false when it ends.
  public mutating func nextElement() throws(JSONError) -> Bool {
    try nextMember(before: UInt8(ascii: "]"), "']'")
  }

  private mutating func nextMember(
    before end: UInt8, _ endName: String
  ) throws(JSONError) -> Bool {
    guard let innermost = hasMember.indices.last else {
      preconditionFailure("no object or array is open")
    }
    skipWhitespace()
    if hasMember[innermost] {
      if take(UInt8(ascii: ",")) { return true }
      guard take(end) else { throw fault("expected ',' or \(endName)") }
    } else {
      guard take(end) else {
        hasMember[innermost] = true
        return true
      }
    }
    hasMember.removeLast()
    return false
  }

  public mutating func readBool() throws(JSONError) -> Bool {
    skipWhitespace()
    if offset < bytes.count, bytes[offset] == UInt8(ascii: "t") {
      try readWord("true")
      return true
    }
    try readWord("false")
    return false
  }

  public mutating func readNull() throws(JSONError) {
    skipWhitespace()
    try readWord("null")
  }

  private mutating func readWord(_ word: StaticString) throws(JSONError) {
    let start = offset
    for byte in word.description.utf8 {
      guard take(byte) else { throw fault("expected \(word)", at: start) }
    }
  }

  /// Reads over the next value, which still has to be sound JSON.
  public mutating func skipValue() throws(JSONError) {
    switch try nextKind() {
    case .object:
      try beginObject()
      while try nextName() != nil { try skipValue() }
    case .array:
      try beginArray()
      while try nextElement() { try skipValue() }
    case .string: _ = try readString()
    case .number: _ = try readNumber()
    case .bool: _ = try readBool()
    case .null: try readNull()
    }
  }

  /// Throws: `JSONError` where anything but white space is left.
  public mutating func finish() throws(JSONError) {
    skipWhitespace()
    guard offset == bytes.count else { throw fault("unexpected text after the JSON value") }
  }
}
