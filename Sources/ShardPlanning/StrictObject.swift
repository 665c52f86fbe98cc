import StrictJSON
import TensorCore

/// Reads the members of a JSON object, each of them at most once, and refuses what is left over.
struct StrictObject {
  private let object: JSONObject
  private var unread: Set<String>
  /// Where the object stands, such as "nodes[1].ledger".
  let place: String
  /// The file it comes from.
  let source: String

  init(_ value: JSONValue, place: String, source: String) throws(PlanFault) {
    guard case .object(let object) = value else {
      throw PlanFault.badData(
        "badField",
        "\(place.isEmpty ? "the file" : place) is \(value.kindName); "
          + "an object is expected", source: source)
    }
    self.object = object
    unread = Set(object.keys)
    self.place = place
    self.source = source
  }

  func path(_ key: String) -> String { place.isEmpty ? key : "\(place).\(key)" }

  func fault(_ key: String, _ message: String) -> PlanFault {
    PlanFault.badData("badField", "\(path(key)) \(message)", source: source)
  }

  func has(_ key: String) -> Bool { object[key] != nil }

  /// Names of all members, in their order.
  var keys: [String] { object.keys }

  /// Takes the member `schema` and compares it.
  mutating func schema(_ expected: String) throws(PlanFault) {
    let found = try string("schema")
    guard found == expected else {
      throw PlanFault.badData(
        "unknownSchema",
        "\(path("schema")) is \"\(found.prefix(60))\"; this version reads "
          + "\"\(expected)\"", source: source)
    }
  }

  /// Takes a member that may be absent.
  mutating func optional(_ key: String) -> JSONValue? {
    unread.remove(key)
    return object[key]
  }

  mutating func value(_ key: String) throws(PlanFault) -> JSONValue {
    guard let value = optional(key) else { throw fault(key, "is missing") }
    return value
  }

  mutating func string(_ key: String) throws(PlanFault) -> String {
    let found = try value(key)
    guard let text = found.string else { throw fault(key, "is \(found.kindName), not a string") }
    return text
  }

  mutating func int(_ key: String, in range: ClosedRange<Int>) throws(PlanFault) -> Int {
    try int(try value(key), key: key, in: range)
  }

  private func int(
    _ found: JSONValue, key: String, in range: ClosedRange<Int>
  ) throws(PlanFault) -> Int {
    guard let number = found.int else { throw fault(key, "is \(found.kindName), not an integer") }
    guard range.contains(number) else {
      throw fault(key, "is \(number); expected \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  mutating func array(_ key: String, limit: Int) throws(PlanFault) -> [JSONValue] {
    let found = try value(key)
    guard let elements = found.array else { throw fault(key, "is \(found.kindName), not an array") }
    guard elements.count <= limit else {
      throw fault(key, "has \(elements.count) elements; at most \(limit) are expected")
    }
    return elements
  }

  mutating func nested(_ key: String) throws(PlanFault) -> StrictObject {
    try StrictObject(try value(key), place: path(key), source: source)
  }

  /// A size: an integer of bytes, or text such as "8G".
  mutating func size(_ key: String, in range: ClosedRange<Int>) throws(PlanFault) -> Int? {
    try quantity(key, in: range, example: "\"8G\"") { Quantity.bytes($0) }
  }

  /// A duration in nanoseconds, written as text such as "300us".
  mutating func nanoseconds(_ key: String, in range: ClosedRange<Int>) throws(PlanFault) -> Int? {
    try quantity(key, in: range, example: "\"300us\"") { text in
      Quantity.seconds(text).flatMap { Int(exactly: ($0 * 1e9).rounded()) }
    }
  }

  /// A rate in bytes per second: an integer, or text such as "24GB/s" or "1Gbit/s".
  mutating func rate(_ key: String, in range: ClosedRange<Int>) throws(PlanFault) -> Int? {
    try quantity(key, in: range, example: "\"24GB/s\"") { text in
      Quantity.bytesPerSecond(text).flatMap { Int(exactly: $0.rounded()) }
    }
  }

  private mutating func quantity(
    _ key: String, in range: ClosedRange<Int>, example: String, _ parse: (String) -> Int?
  ) throws(PlanFault) -> Int? {
    guard let found = optional(key) else { return nil }
    guard let text = found.string else { return try int(found, key: key, in: range) }
    guard let number = parse(text) else {
      throw fault(key, "is \"\(text.prefix(40))\"; write it as \(example)")
    }
    guard range.contains(number) else {
      throw fault(key, "is out of range: \"\(text.prefix(40))\"")
    }
    return number
  }

  /// Refuses members that nobody asked for.
  func finish() throws(PlanFault) {
    guard let key = unread.min() else { return }
    throw PlanFault.badData("unknownKey", "unknown key \(path(key)); remove it", source: source)
  }
}

extension StrictObject {
  /// A name of a node: it becomes a directory and appears in messages.
  static func isNodeName(_ name: String) -> Bool {
    guard (1...64).contains(name.utf8.count), let first = name.utf8.first else { return false }
    func isLetterOrDigit(_ byte: UInt8) -> Bool {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: false
      }
    }
    return isLetterOrDigit(first)
      && name.utf8.allSatisfy {
        isLetterOrDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
          || $0 == UInt8(ascii: ".")
      }
  }

  /// Takes a node's name and checks its form.
  mutating func nodeName(_ key: String) throws(PlanFault) -> String {
    let name = try string(key)
    guard Self.isNodeName(name) else {
      throw fault(
        key,
        "is \"\(name.prefix(80))\"; a name has 1 to 64 letters, digits, '-', '_' or '.' "
          + "and begins with a letter or digit")
    }
    return name
  }
}
