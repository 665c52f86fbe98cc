import StrictJSON
import TensorKernels

/// Typed access to config.json: a key of the wrong kind is an error, never a default.
public struct ConfigurationReader: Sendable {
  private let object: JSONObject

  public init(_ object: JSONObject) { self.object = object }

  /// The value of a key that is present and not null.
  public func value(_ key: String) -> JSONValue? {
    guard let value = object[key], !value.isNull else { return nil }
    return value
  }

  /// The keys that stand in the object.
  public var keys: [String] { object.keys }

  public func has(_ key: String) -> Bool { value(key) != nil }

  /// Whether the key stands in the file, be it as null.
  public func isPresent(_ key: String) -> Bool { object[key] != nil }

  /// A nested object, such as `text_config`.
  public func object(_ key: String) throws(ArchitectureFault) -> ConfigurationReader? {
    guard let value = value(key) else { return nil }
    guard let object = value.object else { throw wrongKind(key, "an object", value) }
    return ConfigurationReader(object)
  }

  /// A positive integer under any of several names, which must not contradict each other.
  public func positive(_ keys: String...) throws(ArchitectureFault) -> Int {
    var found: (key: String, number: Int)?
    for key in keys {
      guard let number = try optionalPositive(key) else { continue }
      if let found, found.number != number {
        throw .configuration(key, "is \(number), but \(found.key) is \(found.number)")
      }
      found = (key, number)
    }
    guard let found else { throw .configuration(keys[0], "is missing") }
    return found.number
  }

  /// No count in a configuration is larger; products of two of them stay within 64 bits.
  private static let largestInteger = 1 << 30

  public func optionalPositive(_ key: String) throws(ArchitectureFault) -> Int? {
    guard let value = value(key) else { return nil }
    guard let number = value.int else { throw wrongKind(key, "a positive integer", value) }
    guard (1...Self.largestInteger).contains(number) else {
      throw .configuration(
        key, "is \(number); expected a positive integer of at most \(Self.largestInteger)")
    }
    return number
  }

  /// A positive integer for which null means that there is none, and absence the default.
  public func optionalPositive(
    _ key: String, default fallback: Int?
  ) throws(ArchitectureFault) -> Int? {
    isPresent(key) ? try optionalPositive(key) : fallback
  }

  /// An integer of 0 or more.
  public func count(_ key: String, default fallback: Int) throws(ArchitectureFault) -> Int {
    guard let value = value(key) else { return fallback }
    return value.int == 0 ? 0 : try optionalPositive(key) ?? fallback
  }

  /// `num_key_value_heads`; null means as many as query heads.
  public func keyValueHeads(
    heads: Int, default fallback: Int
  ) throws(ArchitectureFault) -> Int {
    try optionalPositive("num_key_value_heads", default: fallback) ?? heads
  }

  public func number(_ key: String) throws(ArchitectureFault) -> Double? {
    guard let value = value(key) else { return nil }
    guard let number = value.double else { throw wrongKind(key, "a number", value) }
    return number
  }

  public func positiveNumber(
    _ key: String, default fallback: Double
  ) throws(ArchitectureFault) -> Double {
    let number = try number(key) ?? fallback
    guard number > 0 else { throw .configuration(key, "is \(number); expected more than 0") }
    return number
  }

  public func string(_ key: String) throws(ArchitectureFault) -> String {
    guard let string = try optionalString(key) else { throw .configuration(key, "is missing") }
    return string
  }

  public func optionalString(_ key: String) throws(ArchitectureFault) -> String? {
    guard let value = value(key) else { return nil }
    guard let string = value.string else { throw wrongKind(key, "a string", value) }
    return string
  }

  public func bool(_ key: String, default fallback: Bool) throws(ArchitectureFault) -> Bool {
    guard let value = value(key) else { return fallback }
    guard let flag = value.bool else { throw wrongKind(key, "true or false", value) }
    return flag
  }

  /// Refuses a flag that the forward pass does not implement.
  public func require(_ key: String, is expected: Bool) throws(ArchitectureFault) {
    let found = try bool(key, default: expected)
    guard found == expected else {
      throw .configuration(key, "is \(found), which is not supported")
    }
  }

  /// The activation function of the feed-forward network, by Hugging Face's name.
  ///
  /// `gelu_new` and `gelu_pytorch_tanh` are the tanh form, `gelu` the erf form.
  public func activation(
    _ key: String, default fallback: Activation
  ) throws(ArchitectureFault) -> Activation {
    guard let name = try optionalString(key) else { return fallback }
    switch name {
    case "silu", "swish": return .silu
    case "gelu_new", "gelu_pytorch_tanh", "gelu_fast": return .geluTanh
    case "gelu": return .gelu
    case "relu": return .relu
    default:
      throw .configuration(key, "is \(Excerpt.quoted(name)), which is not a known activation")
    }
  }

  /// Channels of one head: `head_dim` where given, else `hidden` / `heads`.
  ///
  /// - Parameter isFree: whether the family honours a `head_dim` that is no such quotient.
  public func headDimension(
    hiddenSize: Int, headCount: Int, isFree: Bool = true
  ) throws(ArchitectureFault) -> Int {
    let given = try optionalPositive("head_dim")
    guard given != nil || hiddenSize % headCount == 0 else {
      throw .configuration(
        "hidden_size",
        "is \(hiddenSize), no multiple of the \(headCount) attention heads, and no head_dim "
          + "is given")
    }
    let dimension = given ?? hiddenSize / headCount
    guard isFree || dimension * headCount == hiddenSize else {
      throw .configuration(
        "head_dim",
        "is \(dimension), but \(headCount) heads share a hidden_size of \(hiddenSize)")
    }
    guard dimension % 2 == 0 else {
      throw .configuration("head_dim", "is \(dimension); rotary positions need an even number")
    }
    return dimension
  }

  /// The strings of an array; nil where the key is absent.
  public func strings(_ key: String) throws(ArchitectureFault) -> [String]? {
    try elements(key, "a string") { $0.string }
  }

  /// The numbers of an array; nil where the key is absent.
  public func numbers(_ key: String) throws(ArchitectureFault) -> [Double]? {
    try elements(key, "a number") { $0.double }
  }

  private func elements<Element>(
    _ key: String, _ expected: String, _ read: (JSONValue) -> Element?
  ) throws(ArchitectureFault) -> [Element]? {
    guard let value = value(key) else { return nil }
    guard let array = value.array else { throw wrongKind(key, "an array", value) }
    var elements: [Element] = []
    for (index, value) in array.enumerated() {
      guard let element = read(value) else {
        throw wrongKind("\(key)[\(index)]", expected, value)
      }
      elements.append(element)
    }
    return elements
  }

  private func wrongKind(
    _ key: String, _ expected: String, _ value: JSONValue
  ) -> ArchitectureFault {
    .configuration(key, "is \(value.kindName); expected \(expected)")
  }

  /// Channels of a head that rotate: a share of them, given here or within `rope_parameters`.
  public func rotaryDimensions(
    headDimension: Int, shareKey: String = "partial_rotary_factor", default fallback: Double
  ) throws(ArchitectureFault) -> Int {
    let nested = try object("rope_parameters")
    let outer = try number(shareKey)
    let inner = try nested?.number("partial_rotary_factor")
    let share = inner ?? outer ?? fallback
    if let outer, outer != share {
      throw .configuration(shareKey, "is \(outer), but rope_parameters say \(share)")
    }
    guard share > 0, share <= 1 else {
      throw .configuration(shareKey, "is \(share); expected more than 0 and at most 1")
    }
    return Int(Double(headDimension) * share)
  }

  /// The window of each layer, nil where it attends to everything.
  ///
  /// - Parameters:
  ///   - window: the size of the sliding window; nil means no layer has one.
  ///   - isSliding: the family's own rule, where `layer_types` does not say.
  public func layerWindows(
    layerCount: Int, window: Int?, isSliding: (Int) -> Bool
  ) throws(ArchitectureFault) -> [Int?] {
    guard layerCount <= ArchitectureRegistry.maximumLayerCount else {
      throw .configuration("num_hidden_layers", "is \(layerCount), more than any model has")
    }
    guard let names = try strings("layer_types") else {
      return (0..<layerCount).map { isSliding($0) ? window : nil }
    }
    guard names.count == layerCount else {
      throw .configuration(
        "layer_types", "names \(names.count) layers; expected \(layerCount)")
    }
    var windows: [Int?] = []
    for name in names {
      switch name {
      case "full_attention": windows.append(nil)
      case "sliding_attention":
        guard let window else {
          throw .configuration("layer_types", "has sliding layers, but no sliding_window is set")
        }
        windows.append(window)
      default:
        throw .configuration("layer_types", "holds \(Excerpt.quoted(name)), which is not supported")
      }
    }
    return windows
  }
}
