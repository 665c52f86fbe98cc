import StrictJSON

struct TemplateToken: Sendable {
  enum Kind: Sendable, Equatable {
    case text(String)
    case outputBegin, outputEnd, statementBegin, statementEnd
    case name(String)
    case string(String)
    case integer(Int)
    case float(Double)
    case symbol(String)
    case end
  }

  let kind: Kind
  let line: Int
}

/// Splits a template's source, with `trim_blocks` and `lstrip_blocks` on.
///
/// Source: the Jinja documentation, "Template Designer Documentation", White Space Control.
struct TemplateLexer {
  private enum Tag { case output, statement, comment }

  let scalars: [Unicode.Scalar]
  private(set) var position = 0
  private(set) var place: TemplatePlace
  private var tokens: [TemplateToken] = []
  /// Whether what was read last ended a line.
  private var startsLine = true

  init(_ source: String, name: String) throws(TokenizationFault) {
    place = TemplatePlace(name: name, line: 1)
    var scalars: [Unicode.Scalar] = []
    var followsReturn = false
    for scalar in source.unicodeScalars {
      if !(scalar == "\n" && followsReturn) { scalars.append(scalar == "\r" ? "\n" : scalar) }
      followsReturn = scalar == "\r"
    }
    if scalars.last == "\n" { scalars.removeLast() }
    guard scalars.count <= TemplateLimit.sourceScalars else {
      throw place.excess("more than \(TemplateLimit.sourceScalars) characters")
    }
    self.scalars = scalars
  }

  mutating func run() throws(TokenizationFault) -> [TemplateToken] {
    while position < scalars.count {
      guard let (begin, tag) = nextTag() else {
        emitText(scalars[position...])
        advance(to: scalars.count)
        break
      }
      var text = scalars[position..<begin]
      let sign = sign(at: begin + 2)
      if sign == "-" {
        while let last = text.last, PythonText.isSpace(last) { text.removeLast() }
      } else if sign == nil, tag != .output {
        let lineStart = text.lastIndex(of: "\n").map { $0 + 1 }
        if lineStart != nil || startsLine,
          text[(lineStart ?? text.startIndex)...].allSatisfy(PythonText.isSpace)
        {
          text = text[..<(lineStart ?? text.startIndex)]
        }
      }
      emitText(text)
      advance(to: begin + 2 + (sign == nil ? 0 : 1))
      switch tag {
      case .comment: try skipComment()
      case .output: try readTag(close: "}", begin: .outputBegin, end: .outputEnd)
      case .statement: try readTag(close: "%", begin: .statementBegin, end: .statementEnd)
      }
    }
    emit(.end)
    return tokens
  }

  // MARK: - Tags

  private func nextTag() -> (Int, Tag)? {
    var index = position
    while index + 1 < scalars.count {
      if scalars[index] == "{" {
        switch scalars[index + 1] {
        case "{": return (index, .output)
        case "%": return (index, .statement)
        case "#": return (index, .comment)
        default: break
        }
      }
      index += 1
    }
    return nil
  }

  private func sign(at index: Int) -> Unicode.Scalar? {
    guard index < scalars.count, scalars[index] == "-" || scalars[index] == "+" else { return nil }
    return scalars[index]
  }

  private mutating func skipComment() throws(TokenizationFault) {
    var index = position
    while index + 1 < scalars.count, !(scalars[index] == "#" && scalars[index + 1] == "}") {
      index += 1
    }
    guard index + 1 < scalars.count else { throw place.malformed("a comment without its end") }
    let sign = index > position ? sign(at: index - 1) : nil
    advance(to: index + 2)
    skipAfterTag(sign, trimsLine: true)
  }

  private mutating func readTag(
    close: Unicode.Scalar, begin: TemplateToken.Kind, end: TemplateToken.Kind
  ) throws(TokenizationFault) {
    emit(begin)
    let first = tokens.count
    var open: [Unicode.Scalar] = []
    while true {
      while position < scalars.count, PythonText.isSpace(scalars[position]) {
        advance(to: position + 1)
      }
      guard position < scalars.count else { throw place.malformed("a tag without its end") }
      let sign = sign(at: position)
      let index = sign == nil ? position : position + 1
      if open.isEmpty, index + 1 < scalars.count, scalars[index] == close,
        scalars[index + 1] == "}", !(sign == "+" && close == "}")
      {
        emit(end)
        advance(to: index + 2)
        return skipAfterTag(sign, trimsLine: close == "%")
      }
      switch scalars[position] {
      case "(": open.append(")")
      case "[": open.append("]")
      case "{": open.append("}")
      case ")", "]", "}":
        guard open.popLast() == scalars[position] else {
          throw place.malformed("an unmatched '\(scalars[position])'")
        }
      default: break
      }
      try readToken()
      if case .statementBegin = begin, tokens.count == first + 1, tokens[first].kind == .name("raw")
      {
        throw place.unsupported("the statement 'raw'")
      }
    }
  }

  private mutating func skipAfterTag(_ sign: Unicode.Scalar?, trimsLine: Bool) {
    var index = position
    if sign == "-" {
      while index < scalars.count, PythonText.isSpace(scalars[index]) { index += 1 }
    } else if sign == nil, trimsLine, index < scalars.count, scalars[index] == "\n" {
      index += 1
    }
    advance(to: index)
    startsLine = scalars[position - 1] == "\n"
  }

  // MARK: - Progress

  private mutating func emitText(_ text: ArraySlice<Unicode.Scalar>) {
    if !text.isEmpty { emit(.text(PythonText.string(text))) }
  }

  mutating func emit(_ kind: TemplateToken.Kind) {
    tokens.append(TemplateToken(kind: kind, line: place.line))
  }

  mutating func advance(to end: Int) {
    place.line += scalars[position..<end].count { $0 == "\n" }
    position = end
  }
}
