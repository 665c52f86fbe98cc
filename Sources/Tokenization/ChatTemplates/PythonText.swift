/// Operations on text as Python's `str` has them: by scalar, without Unicode normalization.
enum PythonText {
  /// The attributes of Python's strings and lists.
  static let members = Set(
    """
    append capitalize casefold center clear copy count encode endswith expandtabs extend find \
    format format_map index insert isalnum isalpha isascii isdecimal isdigit isidentifier islower \
    isnumeric isprintable isspace istitle isupper join ljust lower lstrip maketrans partition pop \
    remove removeprefix removesuffix replace reverse rfind rindex rjust rpartition rsplit rstrip \
    sort split splitlines startswith strip swapcase title translate upper zfill
    """.split(separator: " ").map { String($0) })

  static func equal(_ left: String, _ right: String) -> Bool {
    left.utf8.elementsEqual(right.utf8)
  }

  static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    (0x1C...0x1F).contains(scalar.value) || scalar.properties.isWhitespace
  }

  static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var text = String.UnicodeScalarView()
    text.append(contentsOf: scalars)
    return String(text)
  }

  /// - Parameter characters: which scalars go; white space where nil.
  static func strip(_ text: String, _ characters: String?, left: Bool, right: Bool) -> String {
    let set = characters.map { Set($0.unicodeScalars) }
    func goes(_ scalar: Unicode.Scalar) -> Bool { set?.contains(scalar) ?? isSpace(scalar) }
    var rest = text.unicodeScalars[...]
    if left { rest = rest.drop(while: goes) }
    if right {
      while let last = rest.last, goes(last) { rest.removeLast() }
    }
    return String(rest)
  }

  /// Where a part begins, in UTF-8 bytes, from left to right without overlap.
  static func occurrences(of part: [UInt8], in text: [UInt8], limit: Int = .max) -> [Int] {
    var found: [Int] = []
    var start = 0
    while start + part.count <= text.count, found.count < limit {
      if text[start] == part[0], text[start..<start + part.count].elementsEqual(part) {
        found.append(start)
        start += part.count
      } else {
        start += 1
      }
    }
    return found
  }

  /// - Precondition: `separator` is not empty.
  static func split(_ text: String, _ separator: String, limit: Int = .max) -> [String] {
    let bytes = Array(text.utf8)
    let separator = Array(separator.utf8)
    var parts: [String] = []
    var start = 0
    for position in occurrences(of: separator, in: bytes, limit: limit) {
      parts.append(String(decoding: bytes[start..<position], as: UTF8.self))
      start = position + separator.count
    }
    parts.append(String(decoding: bytes[start...], as: UTF8.self))
    return parts
  }

  /// Words between white space.
  static func words(_ text: String) -> [String] {
    text.unicodeScalars.split(whereSeparator: isSpace).map { String($0) }
  }

  /// - Precondition: `old` is not empty.
  static func replace(_ text: String, _ old: String, _ new: String, limit: Int) -> String {
    split(text, old, limit: limit).joined(separator: new)
  }

  static func contains(_ text: String, _ part: String) -> Bool {
    part.isEmpty
      || !occurrences(of: Array(part.utf8), in: Array(text.utf8), limit: 1).isEmpty
  }

  static func hasPrefix(_ text: String, _ part: String) -> Bool {
    text.utf8.starts(with: part.utf8)
  }

  static func hasSuffix(_ text: String, _ part: String) -> Bool {
    text.utf8.reversed().starts(with: part.utf8.reversed())
  }

  static func upper(_ text: String) -> String {
    text.unicodeScalars.map(\.properties.uppercaseMapping).joined()
  }

  /// Lower case; nil for text with a capital sigma, whose form depends on its neighbours.
  static func lower(_ text: String) -> String? {
    if text.unicodeScalars.contains("\u{3A3}") { return nil }
    return text.unicodeScalars.map(\.properties.lowercaseMapping).joined()
  }

  static func capitalize(_ text: String) -> String? {
    guard let first = text.unicodeScalars.first else { return "" }
    return lower(String(text.unicodeScalars.dropFirst())).map {
      first.properties.titlecaseMapping + $0
    }
  }

  /// The first letter of each run of letters in title case, the others in lower case.
  static func title(_ text: String) -> String? {
    if text.unicodeScalars.contains("\u{3A3}") { return nil }
    var result = ""
    var followsLetter = false
    for scalar in text.unicodeScalars {
      let properties = scalar.properties
      result += followsLetter ? properties.lowercaseMapping : properties.titlecaseMapping
      followsLetter =
        properties.isLowercase || properties.isUppercase
        || properties.generalCategory == .titlecaseLetter
    }
    return result
  }
}
