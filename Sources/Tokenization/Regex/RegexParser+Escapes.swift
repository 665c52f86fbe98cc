import StrictJSON

extension RegexParser {
  /// What follows a backslash outside a class.
  mutating func parseEscape() throws(RegexError) -> RegexNode {
    guard let scalar = next else { throw fault("a backslash at the end") }
    switch scalar {
    case "A": return take(.textStart)
    case "z": return take(.textEnd)
    case "Z": return take(.textEndOrLastNewline)
    case "b": return take(.wordBoundary)
    case "B": return take(.notWordBoundary)
    case "R":
      position += 1
      let pair = RegexNode.sequence([.set(.scalar(0x0D)), .set(.scalar(0x0A))])
      let single = ScalarSet.ranges([0x0A...0x0D, 0x85...0x85, 0x2028...0x2029])
      return .atomic(.alternation([pair, .set(single)]))
    case "N":
      position += 1
      return .set(.complement(.newline))
    case "O":
      position += 1
      return .set(.any)
    case "1"..."9", "k", "g", "G", "K", "X", "y", "Y":
      throw fault("the escape '\\\(scalar)', which is not supported,")
    default:
      if let set = try parseSetEscape() { return .set(folded(set)) }
      return .set(folded(.scalar(try parseScalarEscape())))
    }
  }

  private mutating func take(_ assertion: RegexNode.Assertion) -> RegexNode {
    position += 1
    return .assertion(assertion)
  }

  /// `\d`, `\p{L}` and other escapes that stand for a set; nil where a single scalar is meant.
  mutating func parseSetEscape() throws(RegexError) -> ScalarSet? {
    guard let scalar = next else { return nil }
    let set: ScalarSet
    switch scalar {
    case "d": set = .digit
    case "D": set = .complement(.digit)
    case "s": set = .space
    case "S": set = .complement(.space)
    case "w": set = .word
    case "W": set = .complement(.word)
    case "h": set = .hexadecimalDigit
    case "H": set = .complement(.hexadecimalDigit)
    case "p", "P": return try parseProperty(isNegative: scalar == "P")
    default: return nil
    }
    position += 1
    return set
  }

  private mutating func parseProperty(isNegative: Bool) throws(RegexError) -> ScalarSet {
    position += 1
    guard take("{") else { throw fault("a property without '{'") }
    var negative = isNegative
    if take("^") { negative.toggle() }
    var name = ""
    while let scalar = next, scalar != "}" {
      name.unicodeScalars.append(scalar)
      position += 1
    }
    guard take("}") else { throw fault("a property without '}'") }
    guard let set = RegexProperty.set(named: name) else {
      throw fault("the Unicode property \(Excerpt.quoted(name)), which is not supported,")
    }
    return negative ? .complement(set) : set
  }

  /// An escape that stands for one scalar; the position is behind the backslash.
  mutating func parseScalarEscape() throws(RegexError) -> UInt32 {
    guard let scalar = next else { throw fault("a backslash at the end") }
    position += 1
    switch scalar {
    case "t": return 0x09
    case "n": return 0x0A
    case "v": return 0x0B
    case "f": return 0x0C
    case "r": return 0x0D
    case "a": return 0x07
    case "e": return 0x1B
    case "0": return try parseDigits(radix: 8, upTo: 2, atLeast: 0)
    case "u": return try parseDigits(radix: 16, upTo: 4, atLeast: 4)
    case "x":
      if take("{") {
        let value = try parseDigits(radix: 16, upTo: 8, atLeast: 1)
        guard take("}") else { throw fault("a code point without '}'") }
        return value
      }
      return try parseDigits(radix: 16, upTo: 2, atLeast: 1)
    case "c", "C", "M": throw fault("the escape '\\\(scalar)', which is not supported,")
    default: return scalar.value
    }
  }

  private mutating func parseDigits(
    radix: Int, upTo limit: Int, atLeast minimum: Int
  ) throws(RegexError) -> UInt32 {
    var value: UInt32 = 0
    var count = 0
    while count < limit, let scalar = next, scalar.isASCII,
      let digit = Character(scalar).hexDigitValue, digit < radix
    {
      value = value << (radix == 16 ? 4 : 3) | UInt32(digit)
      count += 1
      position += 1
    }
    guard count >= minimum, Unicode.Scalar(value) != nil else {
      throw fault("an escape that is no code point")
    }
    return value
  }

  // MARK: - Classes

  /// What follows an opening bracket.
  mutating func parseClass(depth: Int = 0) throws(RegexError) -> ScalarSet {
    guard depth < Self.maximumDepth else { throw fault("classes nested too deep") }
    let isNegative = take("^")
    var members: [ScalarSet] = []
    var left: ScalarSet?
    var isFirst = true
    while let scalar = next {
      if scalar == "]", !isFirst {
        position += 1
        var set = ScalarSet.union(members)
        if let left { set = .intersection(left, set) }
        return isNegative ? .complement(set) : set
      }
      if take("&&") {
        let set = ScalarSet.union(members)
        left = left.map { .intersection($0, set) } ?? set
        members = []
      } else {
        members.append(try parseClassMember(depth: depth))
      }
      isFirst = false
    }
    throw fault("a class without ']'")
  }

  private mutating func parseClassMember(depth: Int) throws(RegexError) -> ScalarSet {
    if take("[:") { return try parsePOSIXClass() }
    if take("[") { return try parseClass(depth: depth + 1) }
    let first: UInt32
    if take("\\") {
      if let set = try parseSetEscape() { return set }
      if take("b") { return .scalar(0x08) }
      first = try parseScalarEscape()
    } else {
      first = try takeAny()
    }
    // A hyphen is a range only between two scalars.
    guard position + 1 < scalars.count, scalars[position] == "-", scalars[position + 1] != "]"
    else { return .scalar(first) }
    let hyphen = position
    position += 1
    let last: UInt32
    if take("\\") {
      if try parseSetEscape() != nil {
        position = hyphen
        return .scalar(first)
      }
      last = try parseScalarEscape()
    } else if next == "[" || take("&&") {
      position = hyphen
      return .scalar(first)
    } else {
      last = try takeAny()
    }
    guard first <= last else { throw fault("a range that ends before it begins") }
    return .ranges([first...last])
  }

  private mutating func takeAny() throws(RegexError) -> UInt32 {
    guard let scalar = next else { throw fault("a class without ']'") }
    position += 1
    return scalar.value
  }

  private mutating func parsePOSIXClass() throws(RegexError) -> ScalarSet {
    let isNegative = take("^")
    var name = ""
    while let scalar = next, scalar != ":" {
      name.unicodeScalars.append(scalar)
      position += 1
    }
    guard take(":]"), let set = RegexProperty.set(named: name) else {
      throw fault("the class \(Excerpt.quoted("[:\(name):]")), which is not supported,")
    }
    return isNegative ? .complement(set) : set
  }
}
