/// A JSON object that remembers the order of its members and holds each name once.
public struct JSONObject: Sendable, Equatable, ExpressibleByDictionaryLiteral {
  public private(set) var keys: [String] = []
  public private(set) var values: [JSONValue] = []
  /// Filled once there are too many members to look through.
  private var indexByName: [ExactName: Int] = [:]
  private static let linearLimit = 8

  public init() {}

  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    for (key, value) in elements { self[key] = value }
  }

  public var count: Int { keys.count }

  private func index(of key: String) -> Int? {
    let name = ExactName(key)
    guard indexByName.isEmpty else { return indexByName[name] }
    return keys.firstIndex { ExactName($0) == name }
  }

  /// Reads a member, replaces it, appends it, or (with nil) removes it (linear when removing).
  public subscript(key: String) -> JSONValue? {
    get { index(of: key).map { values[$0] } }
    set {
      switch (index(of: key), newValue) {
      case (let index?, let value?): values[index] = value
      case (nil, let value?): append(value, key)
      case (let index?, nil):
        keys.remove(at: index)
        values.remove(at: index)
        indexByName = [:]
        if keys.count > Self.linearLimit { buildIndex() }
      case (nil, nil): break
      }
    }
  }

  /// Appends a member and says whether the name was new; an existing member stays as it is.
  mutating func insert(_ value: JSONValue, forNewKey key: String) -> Bool {
    if indexByName.isEmpty {
      guard index(of: key) == nil else { return false }
      append(value, key)
      return true
    }
    // One look into the table instead of two: large vocabularies are read this way.
    let name = ExactName(key)
    if let earlier = indexByName.updateValue(keys.count, forKey: name) {
      indexByName[name] = earlier
      return false
    }
    keys.append(key)
    values.append(value)
    return true
  }

  private mutating func append(_ value: JSONValue, _ key: String) {
    keys.append(key)
    values.append(value)
    if !indexByName.isEmpty {
      indexByName[ExactName(key)] = keys.count - 1
    } else if keys.count > Self.linearLimit {
      buildIndex()
    }
  }

  private mutating func buildIndex() {
    for (index, key) in keys.enumerated() { indexByName[ExactName(key)] = index }
  }

  /// The members in order.
  public var members: Zip2Sequence<[String], [JSONValue]> { zip(keys, values) }

  /// Two objects are equal when they hold the same members, whatever the order.
  public static func == (left: JSONObject, right: JSONObject) -> Bool {
    left.count == right.count && left.members.allSatisfy { right[$0] == $1 }
  }
}

/// A name compared by its bytes: Swift's strings are equal where they are canonically
/// equivalent, but "\u{E9}" and "e\u{301}" are two names in JSON, and two tokens in a vocabulary.
struct ExactName: Hashable {
  let text: String

  init(_ text: String) {
    var contiguous = text
    contiguous.makeContiguousUTF8()
    self.text = contiguous
  }

  static func == (left: ExactName, right: ExactName) -> Bool {
    let leftUTF8 = left.text.utf8
    let rightUTF8 = right.text.utf8
    guard leftUTF8.count == rightUTF8.count else { return false }
    let result = unsafe leftUTF8.withContiguousStorageIfAvailable { leftBytes in
      unsafe rightUTF8.withContiguousStorageIfAvailable { rightBytes in
        unsafe leftBytes.elementsEqual(rightBytes)
      }
    }
    return (result ?? nil) ?? leftUTF8.elementsEqual(rightUTF8)
  }

  func hash(into hasher: inout Hasher) {
    unsafe text.utf8.withContiguousStorageIfAvailable { buffer in
      unsafe hasher.combine(bytes: UnsafeRawBufferPointer(buffer))
    }
  }
}
