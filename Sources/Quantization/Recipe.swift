import StrictJSON
import TensorCore

/// Which scheme each tensor gets, by its role.
///
/// Norms, biases, routers and position embeddings keep the type they are stored in, whatever the
/// recipe says; other roles may ask for the same with the scheme name `keep`.
public struct Recipe: Sendable, Equatable {
  /// The scheme name that leaves a tensor in its stored type.
  public static let keep = "keep"
  static let schema = "shardtool.recipe/1"

  public let name: String
  /// Scheme name of every role that `roles` leaves out.
  public let standard: String
  /// Scheme names by role.
  public let roles: [TensorRole: String]
  /// Scheme name of an embedding that is the head too.
  public let tiedEmbedding: String?

  public init(
    name: String, standard: String, roles: [TensorRole: String] = [:],
    tiedEmbedding: String? = nil
  ) throws(QuantizationFault) {
    for scheme in [standard, tiedEmbedding ?? Self.keep] + roles.values where scheme != Self.keep {
      _ = try Schemes.named(scheme)
    }
    self.name = name
    self.standard = standard
    self.roles = roles
    self.tiedEmbedding = tiedEmbedding
  }

  private init(checked name: String, standard: String, roles: [TensorRole: String] = [:]) {
    self.name = name
    self.standard = standard
    self.roles = roles
    tiedEmbedding = nil
  }

  /// Four bits in the blocks, eight in the head and the embeddings.
  public static let bits4 = Recipe(
    checked: "q4", standard: "q4", roles: [.head: "q8", .tokenEmbedding: "q8"])
  /// Eight bits throughout.
  public static let bits8 = Recipe(checked: "q8", standard: "q8")
  /// Every tensor in its stored type.
  public static let bits16 = Recipe(checked: "keep", standard: keep)

  /// The recipe of `--bits`; nil for other widths than 4, 8 and 16.
  public static func bits(_ bits: Int) -> Recipe? {
    switch bits {
    case 4: bits4
    case 8: bits8
    case 16: bits16
    default: nil
    }
  }

  /// One scheme for all matrices.
  public static func uniform(_ scheme: String) throws(QuantizationFault) -> Recipe {
    try Recipe(name: scheme, standard: scheme)
  }

  /// The scheme of one tensor.
  ///
  /// - Parameters:
  ///   - isTied: whether an embedding also serves as the head.
  ///   - stored: the type in the checkpoint.
  /// Throws: `QuantizationFault` where a kept tensor has a type that holds no weights.
  public func scheme(
    for role: TensorRole, shape: [Int], isTied: Bool, stored: DataType
  ) throws(QuantizationFault) -> any QuantizationScheme {
    var name = Self.keep
    if role.isQuantizable, shape.count == 2 {
      name = roles[role] ?? standard
      if isTied, role == .tokenEmbedding || role == .head {
        name = tiedEmbedding ?? roles[.head] ?? standard
      }
    }
    guard name == Self.keep else { return try Schemes.named(name) }
    guard let scheme = PassThroughScheme(keeping: stored) else {
      throw QuantizationFault(
        "notFloat", "tensors of type \(stored.rawValue) hold no weights that could be kept")
    }
    return scheme
  }
}

extension Recipe {
  /// Reads a recipe file.
  ///
  /// Throws: `QuantizationFault` naming the member that is missing, unknown or wrong.
  public init(json: JSONValue, source: String) throws(QuantizationFault) {
    func fault(_ message: String) -> QuantizationFault {
      QuantizationFault("recipe", "\(source): \(message)", context: ["file": source])
    }
    guard let object = json.object else {
      throw fault("a recipe is a JSON object, found \(json.kindName)")
    }
    let known = ["schema", "name", "description", "default", "roles", "tiedEmbedding"]
    if let unknown = object.keys.first(where: { !known.contains($0) }) {
      throw fault("unknown member \"\(unknown)\"; a recipe has \(known.joined(separator: ", "))")
    }
    guard object["schema"]?.string == Self.schema else {
      throw fault("\"schema\" must be \"\(Self.schema)\"")
    }
    guard let name = object["name"]?.string, (1...512).contains(name.utf8.count),
      !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
    else {
      throw fault("\"name\" must be a string of 1 to 512 bytes without control characters")
    }
    guard let standard = object["default"]?.string else {
      throw fault("\"default\" must be the name of a scheme")
    }
    var roles: [TensorRole: String] = [:]
    if let value = object["roles"] {
      guard let members = value.object else { throw fault("\"roles\" must be an object") }
      for (key, value) in members.members {
        guard let role = TensorRole(rawValue: key), role.isQuantizable else {
          let names = TensorRole.allCases.filter(\.isQuantizable).map(\.rawValue)
          throw fault("there is no role \"\(key)\"; choose from \(names.joined(separator: ", "))")
        }
        guard let scheme = value.string else {
          throw fault("\"\(key)\" must be the name of a scheme")
        }
        roles[role] = scheme
      }
    }
    if let tied = object["tiedEmbedding"], tied.string == nil {
      throw fault("\"tiedEmbedding\" must be the name of a scheme")
    }
    do {
      try self.init(
        name: name, standard: standard, roles: roles,
        tiedEmbedding: object["tiedEmbedding"]?.string)
    } catch {
      throw fault(error.message)
    }
  }

  /// Reads a recipe file of at most one megabyte.
  public static func read(from path: String) throws -> Recipe {
    let bytes = try InputFile.contents(of: path, limit: 1 << 20)
    do {
      return try Recipe(json: try JSONParsing().parse(bytes), source: path)
    } catch let error as JSONError {
      throw QuantizationFault(
        "recipe", "\(path) is not JSON: \(error.message) at byte \(error.offset)",
        context: ["file": path])
    }
  }

  public var json: JSONValue {
    var object: JSONObject = [
      "schema": .string(Self.schema), "name": .string(name), "default": .string(standard),
    ]
    var members = JSONObject()
    for role in TensorRole.allCases {
      if let scheme = roles[role] { members[role.rawValue] = .string(scheme) }
    }
    if members.count > 0 { object["roles"] = .object(members) }
    if let tiedEmbedding { object["tiedEmbedding"] = .string(tiedEmbedding) }
    return .object(object)
  }
}
