import StrictJSON

/// Says which node a directory under `nodes/` is, and of which bundle: node.json.
public struct NodeDescriptor: Sendable, Equatable {
  public let node: String
  public let bundleID: Digest

  private static let schema = "shardtool.bundle-node/1"
  private static let envelopeName = "node"

  init(node: String, bundleID: Digest) {
    self.node = node
    self.bundleID = bundleID
  }

  /// The bytes of node.json.
  var fileBytes: [UInt8] {
    Envelope.seal(
      [
        "schema": .string(Self.schema), "name": .string(node),
        "bundle_id": .string(bundleID.description),
      ], name: Self.envelopeName)
  }

  /// - Parameter path: for faults.
  public init(file bytes: [UInt8], path: String) throws(PackageFault) {
    let envelope = try Envelope.open(bytes, name: Self.envelopeName, path: path)
    var object = StrictObject(envelope.content, place: "\(path): node")
    let schema = try object.string("schema")
    guard schema == Self.schema else {
      throw PackageFault(
        "version",
        "\(path) has the format \(Excerpt.quoted(schema)), this program reads \"\(Self.schema)\"",
        context: ["file": path])
    }
    node = try object.string("name")
    bundleID = try object.digest("bundle_id")
    try object.finish()
  }
}
