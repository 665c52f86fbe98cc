/// Reads the regular expressions of tokenizer files: Oniguruma's Ruby syntax over Unicode.
///
/// Source: Oniguruma, doc/RE. Captures are groups only; back-references, recursion, absent
/// functions and conditionals are refused.
struct RegexParser {
  private(set) var scalars: [Unicode.Scalar]
  var position = 0
  private var depth = 0
  var options = Options()

  struct Options {
    var ignoresCase = false
    var dotMatchesNewline = false
    var isExtended = false
  }

  static let maximumDepth = 60
  /// Quantifiers behind one atom: each makes the tree a level deeper.
  static let maximumQuantifiers = 16

  init(_ pattern: String) { scalars = Array(pattern.unicodeScalars) }

  mutating func parse() throws(RegexError) -> RegexNode {
    let node = try parseAlternation()
    guard position == scalars.count else { throw fault("an unmatched ')'") }
    return node
  }

  func fault(_ message: String) -> RegexError {
    RegexError(message: "\(message) at character \(position)")
  }

  var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

  mutating func take(_ text: StaticString) -> Bool {
    let wanted = Array(text.description.unicodeScalars)
    guard position < scalars.count, scalars[position...].starts(with: wanted) else { return false }
    position += wanted.count
    return true
  }

  private mutating func parseAlternation() throws(RegexError) -> RegexNode {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.maximumDepth else {
      throw fault("groups nested deeper than \(Self.maximumDepth) levels")
    }
    // An option such as (?i) holds until the group ends, across its bars.
    let outer = options
    defer { options = outer }
    var branches = [try parseSequence()]
    while take("|") { branches.append(try parseSequence()) }
    return branches.count == 1 ? branches[0] : .alternation(branches)
  }

  private mutating func parseSequence() throws(RegexError) -> RegexNode {
    var nodes: [RegexNode] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      if options.isExtended, skipExtended() { continue }
      guard let atom = try parseAtom() else { continue }
      nodes.append(try parseQuantifiers(atom))
    }
    return nodes.count == 1 ? nodes[0] : nodes.isEmpty ? .empty : .sequence(nodes)
  }

  private mutating func skipExtended() -> Bool {
    guard let scalar = next else { return false }
    if scalar == "#" {
      while let scalar = next, scalar != "\n" { position += 1 }
      return true
    }
    guard scalar.properties.isWhitespace else { return false }
    position += 1
    return true
  }

  // MARK: - Quantifiers

  private mutating func parseQuantifiers(_ atom: RegexNode) throws(RegexError) -> RegexNode {
    var node = atom
    var count = 0
    while let (minimum, maximum, isInterval) = try parseQuantifier() {
      count += 1
      guard count <= Self.maximumQuantifiers else {
        throw fault("more than \(Self.maximumQuantifiers) quantifiers in a row")
      }
      if isInterval {
        // a{2}? means (?:a{2})? here, and a{1,2}+ repeats the interval.
        if minimum != maximum, take("?") {
          node = .repetition(node, minimum: minimum, maximum: maximum, .lazy)
        } else {
          node = .repetition(node, minimum: minimum, maximum: maximum, .greedy)
        }
      } else if take("?") {
        node = .repetition(node, minimum: minimum, maximum: maximum, .lazy)
      } else if take("+") {
        node = .repetition(node, minimum: minimum, maximum: maximum, .possessive)
      } else {
        node = .repetition(node, minimum: minimum, maximum: maximum, .greedy)
      }
    }
    return node
  }

  private mutating func parseQuantifier()
    throws(RegexError) -> (minimum: Int, maximum: Int?, isInterval: Bool)?
  {
    switch next {
    case "*":
      position += 1
      return (0, nil, false)
    case "+":
      position += 1
      return (1, nil, false)
    case "?":
      position += 1
      return (0, 1, false)
    case "{": return try parseInterval()
    default: return nil
    }
  }

  /// `{2}`, `{2,}`, `{,3}` or `{2,3}`; anything else leaves the brace a literal.
  private mutating func parseInterval()
    throws(RegexError) -> (minimum: Int, maximum: Int?, isInterval: Bool)?
  {
    let start = position
    position += 1
    let low = parseNumber()
    var high = low
    if take(",") {
      high = parseNumber()
      guard low != nil || high != nil else {
        position = start
        return nil
      }
    }
    guard low != nil || high != nil, take("}") else {
      position = start
      return nil
    }
    let hasComma = scalars[start..<position].contains(",")
    let minimum = low ?? 0
    let maximum = hasComma ? high : low
    guard minimum <= 1000, maximum ?? 0 <= 1000 else { throw fault("more than 1000 repetitions") }
    guard minimum <= maximum ?? minimum else {
      throw fault("an interval that ends before it begins")
    }
    return (minimum, maximum, true)
  }

  private mutating func parseNumber() -> Int? {
    var digits = ""
    while let scalar = next, scalar.isASCII, scalar.properties.numericType != nil,
      digits.count < 8
    {
      digits.unicodeScalars.append(scalar)
      position += 1
    }
    return Int(digits)
  }

  // MARK: - Atoms

  private mutating func parseAtom() throws(RegexError) -> RegexNode? {
    guard let scalar = next else { return nil }
    switch scalar {
    case "(":
      position += 1
      return try parseGroup()
    case "[":
      position += 1
      return .set(folded(try parseClass()))
    case ".":
      position += 1
      return .set(options.dotMatchesNewline ? .any : .complement(.newline))
    case "^":
      position += 1
      return .assertion(.lineStart)
    case "$":
      position += 1
      return .assertion(.lineEnd)
    case "\\":
      position += 1
      return try parseEscape()
    case "*", "+", "?":
      throw fault("a quantifier with nothing before it")
    case "{":
      if try parseInterval() != nil { throw fault("a quantifier with nothing before it") }
      position += 1
      return .set(.scalar(scalar.value))
    default:
      position += 1
      return .set(folded(.scalar(scalar.value)))
    }
  }

  func folded(_ set: ScalarSet) -> ScalarSet {
    options.ignoresCase ? .caseInsensitive(set) : set
  }

  /// What follows an opening parenthesis.
  private mutating func parseGroup() throws(RegexError) -> RegexNode? {
    guard take("?") else { return try finishGroup() }
    if take("#") {
      while let scalar = next, scalar != ")" { position += scalar == "\\" ? 2 : 1 }
      guard take(")") else { throw fault("a comment without end") }
      return nil
    }
    if take(":") { return try finishGroup() }
    if take(">") { return .atomic(try finishGroup()) }
    if take("=") { return .look(try finishGroup(), isAhead: true, isNegative: false) }
    if take("!") { return .look(try finishGroup(), isAhead: true, isNegative: true) }
    if take("<=") { return .look(try finishGroup(), isAhead: false, isNegative: false) }
    if take("<!") { return .look(try finishGroup(), isAhead: false, isNegative: true) }
    if take("<") || take("'") {
      while let scalar = next, scalar != ">", scalar != "'" {
        let properties = scalar.properties
        guard properties.isAlphabetic || scalar == "_" || properties.numericType != nil
        else { throw fault("a group name that is none") }
        position += 1
      }
      position += 1
      return try finishGroup()
    }
    return try parseOptions()
  }

  private mutating func finishGroup() throws(RegexError) -> RegexNode {
    let node = try parseAlternation()
    guard take(")") else { throw fault("a group without ')'") }
    return node
  }

  /// `(?i)`, `(?i-m:…)` and the like.
  private mutating func parseOptions() throws(RegexError) -> RegexNode? {
    var changed = options
    var value = true
    while let scalar = next {
      position += 1
      switch scalar {
      case "-": value = false
      case "i": changed.ignoresCase = value
      case "m": changed.dotMatchesNewline = value
      case "x": changed.isExtended = value
      case ")":
        // Holds for the rest of the enclosing group, alternatives included.
        options = changed
        return try parseRestOfGroup()
      case ":":
        let outer = options
        options = changed
        defer { options = outer }
        return try finishGroup()
      default:
        position -= 1
        throw fault("the group construct '(?\(scalar)', which is not supported,")
      }
    }
    throw fault("a group without ')'")
  }

  /// In `a(?i)b|c` the option reaches over the bar, and `b|c` belongs together.
  private mutating func parseRestOfGroup() throws(RegexError) -> RegexNode {
    try parseAlternation()
  }
}
