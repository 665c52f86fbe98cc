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
    var writer = JSONWriter(style: style)
    writer.write(self, indent: 0)
    if style == .pretty { writer.text += "\n" }
    return writer.text
  }
}

private struct JSONWriter {
  let style: JSONStyle
  var text = ""

  mutating func write(_ value: JSONValue, indent: Int) {
    switch value {
    case .null: text += "null"
    case .bool(let flag): text += flag ? "true" : "false"
    case .integer(let number): text += String(number)
    case .double(let number): text += number.isFinite ? "\(number)" : "null"
    case .string(let string): write(string)
    case .array(let elements): write(elements, indent: indent)
    case .object(let object): write(object, indent: indent)
    }
  }

  mutating func write(_ elements: [JSONValue], indent: Int) {
    guard !elements.isEmpty else {
      text += "[]"
      return
    }
    let isFlat = elements.allSatisfy { element in
      switch element {
      case .array, .object: false
      default: true
      }
    }
    text += "["
    for (index, element) in elements.enumerated() {
      if index > 0 { text += style == .pretty && isFlat ? ", " : "," }
      if !isFlat { breakLine(indent + 1) }
      write(element, indent: indent + 1)
    }
    if !isFlat { breakLine(indent) }
    text += "]"
  }

  mutating func write(_ object: JSONObject, indent: Int) {
    guard object.count > 0 else {
      text += "{}"
      return
    }
    text += "{"
    var members = Array(object.members)
    if style == .canonical {
      members.sort { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
    }
    for (index, (key, value)) in members.enumerated() {
      if index > 0 { text += "," }
      breakLine(indent + 1)
      write(key)
      text += style == .pretty ? ": " : ":"
      write(value, indent: indent + 1)
    }
    breakLine(indent)
    text += "}"
  }

  mutating func breakLine(_ indent: Int) {
    guard style == .pretty else { return }
    text += "\n" + String(repeating: "  ", count: indent)
  }

  mutating func write(_ string: String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\u{0}"..<"\u{20}", "\u{7F}":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
