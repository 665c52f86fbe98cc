/// Writes JSON with the spaces and escapes that Python's `json.dumps` gives it.
struct PythonJSONWriter {
  /// Spaces per level; one line where nil.
  let indent: Int?
  let place: TemplatePlace
  private(set) var text = ""

  init(indent: Int?, place: TemplatePlace) {
    self.indent = indent
    self.place = place
  }

  mutating func write(_ value: TemplateValue, depth: Int) throws(TokenizationFault) {
    guard text.utf8.count <= TemplateLimit.outputBytes else {
      throw place.excess("a text of more than \(TemplateLimit.outputBytes) bytes")
    }
    switch value {
    case .none: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += String(value)
    case .float(let value) where value.isFinite: text += value.description
    case .string(let value): write(value)
    case .list(let list) where !list.isLazy:
      if list.items.isEmpty { return text += "[]" }
      text += "["
      for (index, item) in list.items.enumerated() {
        separate(index, depth: depth + 1)
        try write(item, depth: depth + 1)
      }
      breakLine(depth: depth)
      text += "]"
    case .dictionary(let dictionary):
      if dictionary.keys.isEmpty { return text += "{}" }
      text += "{"
      for (index, key) in dictionary.keys.enumerated() {
        separate(index, depth: depth + 1)
        write(key)
        text += ": "
        try write(dictionary.values[index], depth: depth + 1)
      }
      breakLine(depth: depth)
      text += "}"
    default: throw place.failed("'tojson' cannot write \(value.kindName)")
    }
  }

  private mutating func separate(_ index: Int, depth: Int) {
    if index > 0 { text += indent == nil ? ", " : "," }
    breakLine(depth: depth)
  }

  private mutating func breakLine(depth: Int) {
    guard let indent else { return }
    text += "\n" + String(repeating: " ", count: indent * depth)
  }

  private mutating func write(_ string: String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\u{8}": text += "\\b"
      case "\u{C}": text += "\\f"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
