import StrictJSON

/// Reads a JSON object member by member and refuses members that nobody asked for.
///
/// Faults name the place in the document, such as `manifest.json: components[3].tensors[0]`.
struct StrictObject {
  let place: String
  private let object: JSONObject
  private var taken: Set<String> = []

  init(_ value: JSONValue, place: String) throws(PackageFault) {
    guard let object = value.object else {
      throw Self.fault("is \(value.kindName) instead of an object", place)
    }
    self.object = object
    self.place = place
  }

  init(_ object: JSONObject, place: String) {
    self.object = object
    self.place = place
  }

  static func fault(_ problem: String, _ place: String) -> PackageFault {
    PackageFault(
      "manifest", "\(place) \(problem); pack the bundle anew", context: ["place": place])
  }

  private mutating func value(_ key: String) throws(PackageFault) -> JSONValue {
    taken.insert(key)
    guard let value = object[key] else { throw Self.fault("lacks \"\(key)\"", place) }
    return value
  }

  mutating func string(_ key: String) throws(PackageFault) -> String {
    let value = try value(key)
    guard let string = value.string else {
      throw Self.fault("is \(value.kindName) instead of a string", "\(place).\(key)")
    }
    return string
  }

  /// A short text without control characters.
  mutating func text(_ key: String, emptyAllowed: Bool = true) throws(PackageFault) -> String {
    let text = try string(key)
    guard ManifestLimits.isTensorName(text) || (emptyAllowed && text.isEmpty) else {
      throw Self.fault("is empty, too long or no plain text", "\(place).\(key)")
    }
    return text
  }

  /// The members of an object whose names are data; to be checked by who reads them.
  mutating func members(_ key: String) throws(PackageFault) -> [(key: String, value: JSONValue)] {
    let value = try value(key)
    guard let members = value.object else {
      throw Self.fault("is \(value.kindName) instead of an object", "\(place).\(key)")
    }
    return members.members.map { ($0.0, $0.1) }
  }

  mutating func integer(
    _ key: String, in range: ClosedRange<Int>
  ) throws(PackageFault) -> Int {
    let value = try value(key)
    guard let number = value.int else {
      throw Self.fault("is \(value.kindName) instead of an integer", "\(place).\(key)")
    }
    guard range.contains(number) else {
      throw Self.fault(
        "is \(number), expected \(range.lowerBound) to \(range.upperBound)", "\(place).\(key)")
    }
    return number
  }

  mutating func digest(_ key: String) throws(PackageFault) -> Digest {
    let text = try string(key)
    guard let digest = Digest(text) else {
      throw Self.fault(
        "is no digest: expected sha256: and 64 lower-case hexadecimal digits", "\(place).\(key)")
    }
    return digest
  }

  mutating func array(_ key: String) throws(PackageFault) -> [JSONValue] {
    let value = try value(key)
    guard let array = value.array else {
      throw Self.fault("is \(value.kindName) instead of an array", "\(place).\(key)")
    }
    return array
  }

  mutating func strings(_ key: String) throws(PackageFault) -> [String] {
    var strings: [String] = []
    for value in try array(key) {
      guard let string = value.string else {
        throw Self.fault("holds \(value.kindName) instead of strings only", "\(place).\(key)")
      }
      strings.append(string)
    }
    return strings
  }

  mutating func object(_ key: String) throws(PackageFault) -> StrictObject {
    try StrictObject(try value(key), place: "\(place).\(key)")
  }

  /// The objects of an array, each with its place.
  mutating func objects(_ key: String) throws(PackageFault) -> [StrictObject] {
    var objects: [StrictObject] = []
    for (index, value) in try array(key).enumerated() {
      objects.append(try StrictObject(value, place: "\(place).\(key)[\(index)]"))
    }
    return objects
  }

  /// Refuses members that were not read.
  func finish() throws(PackageFault) {
    for key in object.keys where !taken.contains(key) {
      throw Self.fault("has the unknown member \(Excerpt.quoted(key))", place)
    }
  }
}
