/// How a value is written.
public enum JSONStyle: Sendable {
  /// Names sorted by their UTF-8 bytes, no white space: one text for one value. Manifests are
  /// hashed in this form.
  case canonical
  /// Two spaces of indentation, members in their own order, a final line feed.
  case pretty
  /// One line, members in their own order.
  case compact
}

extension JSONValue {
  /// Writes the value as UTF-8 text. Doubles are written with the fewest digits that read back
  /// as the same number; infinities and NaN, which JSON lacks, become null.
  public func serialized(_ style: JSONStyle) -> String {
    String(decoding: serializedBytes(style), as: UTF8.self)
  }

  /// The same text as `serialized`, as bytes.
  public func serializedBytes(_ style: JSONStyle) -> [UInt8] {
    var writer = JSONWriter(style: style)
    writer.write(self, indent: 0)
    if style == .pretty { writer.text.append(UInt8(ascii: "\n")) }
    return writer.text
  }
}

private struct JSONWriter {
  let style: JSONStyle
  var text: [UInt8] = []

  init(style: JSONStyle) { self.style = style }

  private mutating func put(_ piece: StaticString) {
    for byte in piece.description.utf8 { text.append(byte) }
  }

  mutating func write(_ value: JSONValue, indent: Int) {
    switch value {
    case .null: put("null")
    case .bool(let flag): put(flag ? "true" : "false")
    case .integer(let number): text.append(contentsOf: String(number).utf8)
    case .double(let number):
      text.append(contentsOf: (number.isFinite ? "\(number)" : "null").utf8)
    case .string(let string): write(string)
    case .array(let elements): write(elements, indent: indent)
    case .object(let object): write(object, indent: indent)
    }
  }

  private mutating func write(_ elements: [JSONValue], indent: Int) {
    guard !elements.isEmpty else { return put("[]") }
    let isFlat = elements.allSatisfy { element in
      switch element {
      case .array, .object: false
      default: true
      }
    }
    text.append(UInt8(ascii: "["))
    for (index, element) in elements.enumerated() {
      if index > 0 {
        text.append(UInt8(ascii: ","))
        if style == .pretty && isFlat { text.append(UInt8(ascii: " ")) }
      }
      if !isFlat { breakLine(indent + 1) }
      write(element, indent: indent + 1)
    }
    if !isFlat { breakLine(indent) }
    text.append(UInt8(ascii: "]"))
  }

  private mutating func write(_ object: JSONObject, indent: Int) {
    guard object.count > 0 else { return put("{}") }
    let order =
      style == .canonical ? Self.sortedIndices(object.keys) : Array(object.keys.indices)
    text.append(UInt8(ascii: "{"))
    for (position, index) in order.enumerated() {
      if position > 0 { text.append(UInt8(ascii: ",")) }
      breakLine(indent + 1)
      write(object.keys[index])
      text.append(UInt8(ascii: ":"))
      if style == .pretty { text.append(UInt8(ascii: " ")) }
      write(object.values[index], indent: indent + 1)
    }
    breakLine(indent)
    text.append(UInt8(ascii: "}"))
  }

  /// The positions of the names in the order of their UTF-8 bytes.
  private static func sortedIndices(_ keys: [String]) -> [Int] {
    let names = keys.map { Array($0.utf8) }
    return names.indices.sorted { names[$0].lexicographicallyPrecedes(names[$1]) }
  }

  private mutating func breakLine(_ indent: Int) {
    guard style == .pretty else { return }
    text.append(UInt8(ascii: "\n"))
    for _ in 0..<2 * indent { text.append(UInt8(ascii: " ")) }
  }

  private mutating func write(_ string: String) {
    text.append(UInt8(ascii: "\""))
    for byte in string.utf8 {
      switch byte {
      case UInt8(ascii: "\""): put("\\\"")
      case UInt8(ascii: "\\"): put("\\\\")
      case UInt8(ascii: "\n"): put("\\n")
      case UInt8(ascii: "\r"): put("\\r")
      case UInt8(ascii: "\t"): put("\\t")
      case 0..<0x20, 0x7F:
        put("\\u00")
        for digit in [byte >> 4, byte & 15] { text.append(digit + (digit < 10 ? 0x30 : 0x57)) }
      default: text.append(byte)
      }
    }
    text.append(UInt8(ascii: "\""))
  }
}
