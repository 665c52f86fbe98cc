import StrictJSON

extension TemplateLexer {
  private static let pairs: Set<String> = ["==", "!=", ">=", "<=", "//", "**"]

  private func isNameScalar(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "_" || isDigit(scalar) || ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)
  }

  private func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

  private func end(from start: Int, while holds: (Unicode.Scalar) -> Bool) -> Int {
    var end = start
    while end < scalars.count, holds(scalars[end]) { end += 1 }
    return end
  }

  /// Reads one token of an expression.
  ///
  /// - Precondition: the scalar at the position is not white space.
  mutating func readToken() throws(TokenizationFault) {
    let first = scalars[position]
    if isDigit(first) { return try readNumber() }
    if isNameScalar(first) {
      let end = end(from: position, while: isNameScalar)
      emit(.name(PythonText.string(scalars[position..<end])))
      return advance(to: end)
    }
    if first == "'" || first == "\"" { return try readString(first) }
    if position + 1 < scalars.count {
      let pair = PythonText.string(scalars[position...(position + 1)])
      if Self.pairs.contains(pair) {
        emit(.symbol(pair))
        return advance(to: position + 2)
      }
    }
    guard "+-*/%~[](){}<>=.:|,".unicodeScalars.contains(first) else {
      throw place.malformed("the character \(Excerpt.quoted(String(first))) in an expression")
    }
    emit(.symbol(String(first)))
    advance(to: position + 1)
  }

  private mutating func readNumber() throws(TokenizationFault) {
    var end = end(from: position, while: isDigit)
    var isFloat = false
    if end + 1 < scalars.count, scalars[end] == ".", isDigit(scalars[end + 1]) {
      isFloat = true
      end = self.end(from: end + 1, while: isDigit)
    }
    let text = PythonText.string(scalars[position..<end])
    guard end == scalars.count || !isNameScalar(scalars[end]) else {
      let start = text + String(scalars[end])
      throw place.unsupported("a number written like \(Excerpt.quoted(start))")
    }
    if isFloat, let value = Double(text) {
      emit(.float(value))
    } else if !isFloat, let value = Int(text) {
      emit(.integer(value))
    } else {
      throw place.unsupported("the number \(Excerpt.quoted(text))")
    }
    advance(to: end)
  }

  private mutating func readString(_ quote: Unicode.Scalar) throws(TokenizationFault) {
    var text = String.UnicodeScalarView()
    var index = position + 1
    while index < scalars.count, scalars[index] != quote {
      if scalars[index] == "\\" {
        index = try readEscape(at: index + 1, into: &text)
      } else {
        text.append(scalars[index])
        index += 1
      }
    }
    guard index < scalars.count else { throw place.malformed("a string without its end") }
    emit(.string(String(text)))
    advance(to: index + 1)
  }

  /// Reads what follows a backslash, as Python does, and returns where it ends.
  private func readEscape(
    at index: Int, into text: inout String.UnicodeScalarView
  ) throws(TokenizationFault) -> Int {
    guard index < scalars.count else { throw place.malformed("a string without its end") }
    let letter = scalars[index]
    let simple: [Unicode.Scalar: Unicode.Scalar] = [
      "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "\"": "\"", "a": "\u{7}",
      "b": "\u{8}", "f": "\u{C}", "v": "\u{B}",
    ]
    if let scalar = simple[letter] {
      text.append(scalar)
      return index + 1
    }
    if letter == "\n" { return index + 1 }
    if let digits = ["x": 2, "u": 4, "U": 8][letter] {
      let end = index + 1 + digits
      guard end <= scalars.count,
        let value = UInt32(PythonText.string(scalars[index + 1..<end]), radix: 16),
        let scalar = Unicode.Scalar(value)
      else { throw place.malformed("a string with a wrong escape '\\\(letter)'") }
      text.append(scalar)
      return end
    }
    if letter == "N" || isDigit(letter) {
      throw place.unsupported("the escape '\\\(letter)' in a string")
    }
    text.append("\\")
    text.append(letter)
    return index + 1
  }
}
