import Foundation
import ShardPackaging
import StrictJSON
import TensorCore
import TestSupport

/// A small signed bundle of one node, keys of its own, and a place to remember numbers in.
struct SignedBundle {
  let place: TemporaryDirectory
  let key: SigningKey
  let stranger: SigningKey
  let bundle: String
  /// The node's directory, copied elsewhere.
  let node: String
  let state: String
  private let model: SmallModel

  init(split: [Int] = [1]) throws {
    place = try TemporaryDirectory()
    key = try SigningKey.generate()
    stranger = try SigningKey.generate()
    bundle = place.appending("bundle")
    node = place.appending("node")
    state = place.appending("state/sequences.json")
    model = SmallModel(layers: split.count, hidden: 8, vocabulary: 8, schemes: ["q4", "f16"])
    try model.write(to: place.appending("quantized"))
    try pack(split)
    try copyTree("\(bundle)/nodes/node-0", to: node)
  }

  /// Packs once more: another plan for the same weights is another bundle of the line.
  @discardableResult
  func pack(
    _ split: [Int], to name: String = "bundle", sequence: Int? = nil, called: String? = nil,
    key: SigningKey? = nil
  ) throws -> Manifest {
    try Packager.pack(
      .init(directory: place.appending("quantized")), plan: model.plan(split),
      to: place.appending(name),
      release: BundleRelease(name: called, sequence: sequence, key: key ?? self.key)
    ).manifest
  }

  func trust(
    _ keys: [SigningKey]? = nil, policy: TrustPolicy = .enforce
  ) -> TrustRequirement {
    TrustRequirement(
      policy: policy, keys: (keys ?? [key]).map(\.publicKey), statePath: state)
  }

  /// What a node does before it executes.
  func load(_ directory: String? = nil, _ requirement: TrustRequirement? = nil) throws {
    let package = try VerifiedPackage.open(
      directory: directory ?? node, trust: requirement ?? trust())
    try package.readComponents(package.components) { _, _, _, _ in }
    try package.recordSequence()
  }

  /// Why a directory is refused; nil where it is not.
  func refusal(
    _ directory: String? = nil, _ requirement: TrustRequirement? = nil
  ) -> (any Fault)? {
    fault { try load(directory, requirement) }
  }

  /// Writes signature.json with this payload type, these signatures and any text changes.
  func sign(
    _ directory: String, by keys: [SigningKey], type: String = Self.type,
    _ change: (String) -> String = { $0 }
  ) throws {
    let payload = try InputFile.contents(of: "\(directory)/manifest.json")
    let message = Array("DSSEv1 \(type.utf8.count) \(type) \(payload.count) ".utf8) + payload
    let signatures = try keys.map { key -> (String, String) in
      (
        key.publicKey.id.description,
        Data(try key.signature(of: message)).base64EncodedString()
      )
    }.sorted { $0.0 < $1.0 }
    let list = signatures.map { "{\"keyid\":\"\($0)\",\"sig\":\"\($1)\"}" }.joined(separator: ",")
    let text =
      "{\"payload\":\"\(Data(payload).base64EncodedString())\",\"payloadType\":\"\(type)\","
      + "\"signatures\":[\(list)]}\n"
    try Directory.writeAtomically(Array(change(text).utf8), to: "\(directory)/signature.json")
  }

  static let type = "application/vnd.shardtool.manifest+json"
}

/// Changes one byte of a file in place.
func patch(_ path: String, _ index: Int, _ byte: UInt8) throws {
  let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
  try file.seek(toOffset: UInt64(index))
  try file.write(contentsOf: [byte])
  try file.close()
}

/// Writes bytes into a file in place, as a bad disk would.
func overwrite(_ path: String, _ bytes: [UInt8]) throws {
  let file = try OutputFile(path: path)
  try file.write(bytes, at: 0)
}
