import StrictJSON

/// Reads the members of one component of a tokenizer file, naming what is missing or wrong.
struct ComponentReader {
  let file: String
  /// What the component is, as in "the normalizer".
  let kind: String
  let object: JSONObject

  init(_ value: JSONValue, kind: String, file: String) throws(TokenizationFault) {
    guard let object = value.object else {
      throw .malformed(file, "the \(kind) is \(value.kindName) where an object is expected")
    }
    self.file = file
    self.kind = kind
    self.object = object
  }

  var type: String? { object["type"]?.string }

  func fault(_ what: String) -> TokenizationFault {
    .malformed(file, "the \(kind) \(type?.prefix(60) ?? "without type") \(what)")
  }

  private func missing(_ name: String, _ expected: String) -> TokenizationFault {
    let found = object[name].map { "has \($0.kindName) as" } ?? "lacks"
    return fault("\(found) \(Excerpt.quoted(name)), \(expected) is expected")
  }

  func string(_ name: String) throws(TokenizationFault) -> String {
    guard let value = object[name]?.string else { throw missing(name, "a string") }
    return value
  }

  func bool(_ name: String, default preset: Bool) throws(TokenizationFault) -> Bool {
    guard let member = object[name], !member.isNull else { return preset }
    guard let value = member.bool else { throw missing(name, "a boolean") }
    return value
  }

  func count(_ name: String) throws(TokenizationFault) -> Int {
    guard let value = object[name]?.int, value >= 0 else {
      throw missing(name, "a whole number from 0 on")
    }
    return value
  }

  func array(_ name: String) throws(TokenizationFault) -> [JSONValue] {
    guard let value = object[name]?.array else { throw missing(name, "an array") }
    return value
  }

  /// A string of exactly one scalar.
  func scalar(_ name: String) throws(TokenizationFault) -> UInt32 {
    let scalars = try string(name).unicodeScalars
    guard let scalar = scalars.first, scalars.count == 1 else {
      throw missing(name, "a single character")
    }
    return scalar.value
  }

  func behavior(
    _ name: String, default preset: SplitBehavior? = nil
  ) throws(TokenizationFault) -> SplitBehavior {
    if object[name] == nil, let preset { return preset }
    guard let behavior = SplitBehavior(rawValue: try string(name)) else {
      throw missing(name, "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous")
    }
    return behavior
  }

  /// `{"String": …}` or `{"Regex": …}`.
  func pattern(_ name: String) throws(TokenizationFault) -> TextPattern {
    guard let pattern = object[name]?.object else { throw missing(name, "a pattern") }
    if let text = pattern["String"]?.string {
      guard !text.isEmpty else { throw fault("has an empty pattern") }
      return .literal(Array(text.utf8))
    }
    guard let regex = pattern["Regex"]?.string else {
      throw missing(name, "a member \"String\" or \"Regex\"")
    }
    if let scanner = WordScanner(regex: regex) { return .words(scanner) }
    do {
      return .regex(try RegexProgram(pattern: regex))
    } catch {
      throw TokenizationFault(
        "unsupportedRegex",
        "\(file): the \(kind) \(type?.prefix(60) ?? "") has the pattern "
          + "\(Excerpt.quoted(regex)) with \(error.message); convert the tokenizer to one "
          + "without it",
        file: file)
    }
  }
}
