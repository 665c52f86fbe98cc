import Quantization
import StrictJSON
import TensorCore

/// What a bundle was made from and by which programs: claims of who packed it, which a signature
/// covers (docs/format.md §4).
///
/// Nothing here depends on time, place or machine.
public struct Provenance: Sendable, Equatable {
  /// A file of the original checkpoint.
  public struct Source: Sendable, Equatable {
    public enum Role: String, Sendable, CaseIterable {
      case configuration, index, licence, tokenizer, weights
    }

    public let name: String
    public let role: Role
    public let byteCount: Int
    public let digest: Digest

    public init(name: String, role: Role, byteCount: Int, digest: Digest) {
      self.name = name
      self.role = role
      self.byteCount = byteCount
      self.digest = digest
    }
  }

  /// Which scheme each role got. Texts are empty where nothing was said.
  public struct RecipeRecord: Sendable, Equatable {
    public let name: String
    public let standard: String
    public let roles: [String: String]
    public let tiedEmbedding: String

    public init(_ recipe: Recipe) {
      name = recipe.name
      standard = recipe.standard
      var roles: [String: String] = [:]
      for (role, scheme) in recipe.roles { roles[role.rawValue] = scheme }
      self.roles = roles
      tiedEmbedding = recipe.tiedEmbedding ?? ""
    }

    init(name: String) {
      self.name = name
      standard = ""
      roles = [:]
      tiedEmbedding = ""
    }
  }

  /// Program and version that packed.
  public internal(set) var packer: String
  /// Program and version that quantized; empty where that is not known.
  public let quantizer: String
  /// Version of the quantized checkpoint's format.
  public let quantizedFormat: Int
  public let recipe: RecipeRecord
  /// Sorted by name; empty where they are not known.
  public let sources: [Source]

  /// The file of a quantized checkpoint that tells this.
  public static let fileName = "provenance.json"
  static let schema = "shardtool.provenance/1"
  static let maximumSourceCount = 10_000

  /// What these programs have quantized.
  public init(recipe: Recipe, sources: [Source]) {
    packer = ToolVersion.name
    quantizer = ToolVersion.name
    quantizedFormat = QuantizationRecord.version
    self.recipe = RecipeRecord(recipe)
    self.sources = sources.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  /// What these programs have brought in from another format, without quantizing.
  public init(importedAs recipe: String, sources: [Source]) {
    packer = ToolVersion.name
    quantizer = ""
    quantizedFormat = QuantizationRecord.version
    self.recipe = RecipeRecord(name: recipe)
    self.sources = sources.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  /// What is known of a quantized checkpoint: what its provenance.json says, where it has one.
  ///
  /// Throws: `PackageFault` or `FileFault` for a file that does not say it well.
  public init(of quantized: QuantizedCheckpoint) throws {
    let path = "\(quantized.directory)/\(Self.fileName)"
    guard Directory.isFile(path) else {
      packer = ToolVersion.name
      quantizer = ""
      quantizedFormat = QuantizationRecord.version
      recipe = RecipeRecord(name: quantized.recipe)
      sources = []
      return
    }
    let bytes = try InputFile.contents(of: path, limit: ManifestLimits.manifestByteCount)
    do {
      var object = StrictObject(
        try JSONParsing().parse(bytes).object ?? JSONObject(), place: path)
      guard try object.string("schema") == Self.schema else {
        throw StrictObject.fault("is not \"\(Self.schema)\"", "\(path).schema")
      }
      self = try Provenance(&object, packer: ToolVersion.name)
    } catch {
      let reason = (error as? any Fault)?.message ?? "it is no JSON"
      throw PackageFault(
        "provenance",
        "\(path) does not tell where the weights come from (\(reason)); quantize the checkpoint "
          + "again", context: ["file": path])
    }
  }

  /// The bytes of provenance.json.
  public var fileText: String {
    var object = members
    object["schema"] = .string(Self.schema)
    return JSONValue.object(object).serialized(.pretty)
  }
}

extension Provenance {
  private var members: JSONObject {
    var roles = JSONObject()
    for (role, scheme) in recipe.roles.sorted(by: { $0.key < $1.key }) {
      roles[role] = .string(scheme)
    }
    return [
      "quantizer": .string(quantizer), "quantized_format": JSONValue(quantizedFormat),
      "recipe": [
        "name": .string(recipe.name), "default": .string(recipe.standard),
        "roles": .object(roles), "tied_embedding": .string(recipe.tiedEmbedding),
      ],
      "sources": .array(
        sources.map {
          [
            "name": .string($0.name), "role": .string($0.role.rawValue),
            "bytes": JSONValue($0.byteCount), "digest": .string($0.digest.description),
          ]
        }),
    ]
  }

  /// As it stands in a manifest.
  public var json: JSONValue {
    var object = members
    object["packer"] = .string(packer)
    return .object(object)
  }

  init(_ object: StrictObject) throws(PackageFault) {
    var object = object
    self = try Provenance(&object, packer: nil)
  }

  /// - Parameter packer: nil to read it.
  private init(_ object: inout StrictObject, packer: String?) throws(PackageFault) {
    if let packer {
      self.packer = packer
    } else {
      self.packer = try object.text("packer", emptyAllowed: false)
    }
    quantizer = try object.text("quantizer")
    quantizedFormat = try object.integer("quantized_format", in: 1...1_000_000)
    recipe = try RecipeRecord(try object.object("recipe"))
    var sources: [Source] = []
    let entries = try object.objects("sources")
    guard entries.count <= Self.maximumSourceCount else {
      throw StrictObject.fault("lists \(entries.count) files", "\(object.place).sources")
    }
    for entry in entries { sources.append(try Source(entry)) }
    for (one, next) in zip(sources, sources.dropFirst()) {
      guard one.name.utf8.lexicographicallyPrecedes(next.name.utf8) else {
        throw StrictObject.fault(
          "names files twice or not in order", "\(object.place).sources")
      }
    }
    self.sources = sources
    try object.finish()
  }
}

extension Provenance.Source {
  init(_ object: StrictObject) throws(PackageFault) {
    var object = object
    name = try object.text("name", emptyAllowed: false)
    let text = try object.string("role")
    guard let role = Role(rawValue: text) else {
      throw StrictObject.fault("is no role that we know", "\(object.place).role")
    }
    self.role = role
    byteCount = try object.integer("bytes", in: 0...ManifestLimits.blobByteCount)
    digest = try object.digest("digest")
    try object.finish()
  }
}

extension Provenance.RecipeRecord {
  init(_ object: StrictObject) throws(PackageFault) {
    var object = object
    name = try object.text("name", emptyAllowed: false)
    standard = try object.text("default")
    tiedEmbedding = try object.text("tied_embedding")
    var roles: [String: String] = [:]
    for (key, value) in try object.members("roles") {
      guard ManifestLimits.isPlainName(key), let scheme = value.string,
        ManifestLimits.isTensorName(scheme)
      else { throw StrictObject.fault("gives no scheme for a role", "\(object.place).roles") }
      roles[key] = scheme
    }
    self.roles = roles
    try object.finish()
  }
}
