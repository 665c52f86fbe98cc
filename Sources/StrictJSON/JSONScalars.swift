extension JSONReader {
  /// Reads a number: `.integer` where it is written as one and fits 64 bits, else `.double`.
  public mutating func readNumber() throws(JSONError) -> JSONValue {
    skipWhitespace()
    let start = offset
    let isNegative = take(UInt8(ascii: "-"))
    let firstDigit = offset
    let magnitude = skipDigits()
    guard offset > firstDigit else { throw fault("expected a digit") }
    if bytes[firstDigit] == UInt8(ascii: "0"), offset > firstDigit + 1 {
      throw fault("a number may not begin with 0", at: start)
    }
    let isInteger = try !skipFractionAndExponent()
    if isInteger, let magnitude, magnitude <= UInt64(Int64.max), !isNegative || magnitude > 0 {
      return .integer(isNegative ? -Int64(magnitude) : Int64(magnitude))
    }
    let literal = String(decoding: bytes[start..<offset], as: UTF8.self)
    if isInteger, literal == "\(Int64.min)" { return .integer(.min) }
    guard let value = Double(literal), value.isFinite else {
      throw fault("the number \(literal.prefix(40)) is out of range", at: start)
    }
    return .double(value)
  }

  /// Whether there was a fraction or an exponent.
  private mutating func skipFractionAndExponent() throws(JSONError) -> Bool {
    var found = false
    if take(UInt8(ascii: ".")) {
      found = true
      let fraction = offset
      _ = skipDigits()
      guard offset > fraction else { throw fault("expected a digit after the point") }
    }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      found = true
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      let exponent = offset
      _ = skipDigits()
      guard offset > exponent else { throw fault("expected a digit in the exponent") }
    }
    return found
  }

  /// The value of the digits; nil where it exceeds 64 bits.
  private mutating func skipDigits() -> UInt64? {
    var value: UInt64? = 0
    while offset < bytes.count, bytes[offset] >= 0x30, bytes[offset] <= 0x39 {
      if let known = value {
        let (tenfold, first) = known.multipliedReportingOverflow(by: 10)
        let (sum, second) = tenfold.addingReportingOverflow(UInt64(bytes[offset] - 0x30))
        value = first || second ? nil : sum
      }
      offset += 1
    }
    return value
  }

  /// Reads a string and resolves its escapes.
  public mutating func readString() throws(JSONError) -> String {
    skipWhitespace()
    let start = offset
    guard take(UInt8(ascii: "\"")) else { throw fault("expected a string") }
    let first = offset
    skipPlainBytes()
    guard offset < bytes.count else { throw fault("a string is not closed", at: start) }
    guard bytes[offset] == UInt8(ascii: "\"") else {
      return try readEscapedString(start: start, first: first)
    }
    let text = try text(bytes[first..<offset], start: start)
    offset += 1
    return text
  }

  /// Moves to the next quote, backslash or control character, or to the end.
  private mutating func skipPlainBytes() {
    var position = offset
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 0x20 { break }
      position += 1
    }
    offset = position
  }

  private func text(
    _ utf8: some Collection<UInt8>, start: Int
  ) throws(JSONError) -> String {
    guard let text = String(validating: utf8, as: UTF8.self) else {
      throw fault("a string is not valid UTF-8", at: start)
    }
    return text
  }

  private mutating func readEscapedString(start: Int, first: Int) throws(JSONError) -> String {
    var content = Array(bytes[first..<offset])
    while offset < bytes.count {
      let byte = bytes[offset]
      offset += 1
      switch byte {
      case UInt8(ascii: "\""): return try text(content, start: start)
      case UInt8(ascii: "\\"): try readEscape(into: &content, start: start)
      case 0..<0x20: throw fault("a control character in a string", at: offset - 1)
      default: content.append(byte)
      }
    }
    throw fault("a string is not closed", at: start)
  }

  private mutating func readEscape(
    into content: inout [UInt8], start: Int
  ) throws(JSONError) {
    guard offset < bytes.count else { throw fault("a string is not closed", at: start) }
    let byte = bytes[offset]
    offset += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
    case UInt8(ascii: "b"): content.append(0x08)
    case UInt8(ascii: "f"): content.append(0x0C)
    case UInt8(ascii: "n"): content.append(0x0A)
    case UInt8(ascii: "r"): content.append(0x0D)
    case UInt8(ascii: "t"): content.append(0x09)
    case UInt8(ascii: "u"): content.append(contentsOf: UTF8.encode(try readScalar()) ?? .init())
    default: throw fault("an unknown escape in a string", at: offset - 1)
    }
  }

  /// The character behind `\u`, of one unit or of a surrogate pair.
  private mutating func readScalar() throws(JSONError) -> Unicode.Scalar {
    let start = offset - 2
    let first = try readHexadecimal()
    if let scalar = Unicode.Scalar(UInt32(first)) { return scalar }
    guard UTF16.isLeadSurrogate(first), take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
      throw fault("a lone surrogate in a string", at: start)
    }
    let second = try readHexadecimal()
    guard UTF16.isTrailSurrogate(second),
      let scalar = Unicode.Scalar(
        0x10000 + (UInt32(first & 0x3FF) << 10) + UInt32(second & 0x3FF))
    else { throw fault("a lone surrogate in a string", at: start) }
    return scalar
  }

  private mutating func readHexadecimal() throws(JSONError) -> UInt16 {
    var value: UInt16 = 0
    for _ in 0..<4 {
      guard offset < bytes.count else { throw fault("a string is not closed") }
      let digit: UInt8
      switch bytes[offset] {
      case let byte where byte >= 0x30 && byte <= 0x39: digit = byte - 0x30
      case let byte where byte >= 0x41 && byte <= 0x46: digit = byte - 0x37
      case let byte where byte >= 0x61 && byte <= 0x66: digit = byte - 0x57
      default: throw fault("expected four hexadecimal digits")
      }
      value = value << 4 | UInt16(digit)
      offset += 1
    }
    return value
  }
}
