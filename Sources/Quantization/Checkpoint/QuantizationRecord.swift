import StrictJSON
import TensorCore

/// What `config.json` of a quantized checkpoint says under `quantization_config`: which tensors
/// there are, in which scheme and shape.
public struct QuantizationRecord: Sendable {
  public static let key = "quantization_config"
  static let method = "shardtool"
  /// Raised whenever stored codes come to mean other values: version 2 has other grids for `q4`.
  public static let version = 2
  static let maximumDimension = 1 << 32

  /// Name of the recipe that chose the schemes.
  public let recipe: String
  /// All tensors, in the order of the record.
  public let tensors: [StoredTensor]

  public init(recipe: String, tensors: [StoredTensor]) {
    self.recipe = recipe
    self.tensors = tensors
  }

  /// Whether a configuration is that of a checkpoint which this tool has quantized.
  public static func isPresent(in configuration: JSONObject) -> Bool {
    configuration[key]?["quant_method"]?.string == method
  }

  public var json: JSONValue {
    var entries = JSONObject()
    for tensor in tensors {
      entries[tensor.name] = [
        "scheme": .string(tensor.scheme.name),
        "shape": .array(tensor.shape.map { JSONValue($0) }),
      ]
    }
    return [
      "quant_method": .string(Self.method), "version": JSONValue(Self.version),
      "recipe": .string(recipe), "tensors": .object(entries),
    ]
  }

  /// Reads the record out of a configuration.
  ///
  /// - Parameter source: the file's path, for messages.
  /// Throws: `QuantizationFault` naming the tensor or member that is missing or wrong.
  public init(configuration: JSONObject, source: String) throws(QuantizationFault) {
    guard let value = configuration[Self.key] else {
      throw QuantizationFault(
        "notQuantized",
        "\(source) has no \"\(Self.key)\", so this is no quantized checkpoint; "
          + "run `shardtool quantize` on it first", context: ["file": source])
    }
    func fault(_ message: String, tensor: String? = nil) -> QuantizationFault {
      var context = ["file": source]
      context["tensor"] = tensor
      return QuantizationFault(
        "badRecord", "\(source): \(message); quantize the original checkpoint again",
        context: context)
    }
    guard value["quant_method"]?.string == Self.method else {
      throw QuantizationFault(
        "foreignMethod",
        "\(source) was quantized by \"\(value["quant_method"]?.string ?? "unknown")\"; "
          + "give the unquantized model", context: ["file": source])
    }
    guard let version = value["version"]?.int else {
      let found = value["version"].map { $0.serialized(.compact) } ?? "none"
      throw fault("expected version \(Self.version) of \"\(Self.key)\", found \(found)")
    }
    guard version == Self.version else {
      throw QuantizationFault(
        "version",
        "\(source) was quantized in version \(version) of the format, this program reads version "
          + "\(Self.version); "
          + (version < Self.version ? "quantize again" : "use a newer shardtool"),
        context: ["file": source])
    }
    guard let entries = value["tensors"]?.object, let recipe = value["recipe"]?.string else {
      throw fault("\"\(Self.key)\" lacks \"recipe\" or \"tensors\"")
    }
    var tensors: [StoredTensor] = []
    for (name, entry) in entries.members {
      guard let schemeName = entry["scheme"]?.string,
        let scheme = Schemes.stored(named: schemeName)
      else { throw fault("tensor \(name) names no known scheme", tensor: name) }
      guard let shape = entry["shape"]?.array?.compactMap(\.int),
        shape.count == entry["shape"]?.array?.count, Self.isSound(shape)
      else { throw fault("tensor \(name) has no usable shape", tensor: name) }
      tensors.append(StoredTensor(name: name, scheme: scheme, shape: shape))
    }
    self.recipe = recipe
    self.tensors = tensors
  }

  /// One or two positive dimensions whose product leaves room for any element size.
  private static func isSound(_ shape: [Int]) -> Bool {
    (1...2).contains(shape.count) && shape.allSatisfy { $0 > 0 && $0 <= maximumDimension }
      && shape.reduce(1.0) { $0 * Double($1) } < 1e15
  }
}
