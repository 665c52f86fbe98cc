import ShardPackaging
import StrictJSON
import TensorCore

/// A bundle in the hands of someone who can write: changes that are consistent up to a point, as
/// an attacker without the signing key would make them.
struct Forgery {
  let directory: String
  /// The manifest's inner object.
  var manifest: JSONValue

  init(_ directory: String) throws {
    self.directory = directory
    let bytes = try InputFile.contents(of: "\(directory)/manifest.json")
    manifest = try JSONParsing().parse(bytes)["manifest"] ?? .null
  }

  /// Puts text behind its right digest.
  static func seal(_ inner: String, name: String = "manifest") -> [UInt8] {
    let digest = Digest(of: Array(inner.utf8))
    return Array("{\"digest\":\"\(digest)\",\"\(name)\":\(inner)}\n".utf8)
  }

  /// Writes the manifest with its right digest.
  func write() throws {
    try Directory.writeAtomically(
      Self.seal(manifest.serialized(.canonical)), to: "\(directory)/manifest.json")
  }

  /// Computes model_id and bundle_id anew, from the description in docs/format.md §5.
  mutating func identify() {
    func raw(_ chunks: JSONValue?) -> JSONValue {
      .array((chunks?.array ?? []).map { $0["raw_digest"] ?? .null })
    }
    func list(_ value: JSONValue?) -> [JSONValue] { value?.array ?? [] }
    let components = list(manifest["components"]).map { component -> JSONValue in
      let tensors = list(component["tensors"]).map { tensor -> JSONValue in
        [
          "name": tensor["name"] ?? .null, "scheme": tensor["scheme"] ?? .null,
          "shape": tensor["shape"] ?? .null,
          "planes": .array(list(tensor["planes"]).map { raw($0["chunks"]) }),
        ]
      }
      return [
        "name": component["name"] ?? .null, "shared": component["shared"] ?? .null,
        "tensors": .array(tensors),
      ]
    }
    let files = list(manifest["model"]?["files"]).map { file -> JSONValue in
      ["name": file["name"] ?? .null, "chunks": raw(file["chunks"])]
    }
    let model: JSONValue = [
      "chunk_bytes": manifest["chunk_bytes"] ?? .null, "components": .array(components),
      "files": .array(files),
    ]
    let modelID = Digest(of: Array(model.serialized(.canonical).utf8)).description
    manifest["model_id"] = .string(modelID)
    let plan = list(manifest["plan"]?["files"]).flatMap { raw($0["chunks"]).array ?? [] }
    let bundle: JSONValue = [
      "model_id": .string(modelID), "nodes": manifest["nodes"] ?? .null, "plan": .array(plan),
    ]
    manifest["bundle_id"] = .string(
      Digest(of: Array(bundle.serialized(.canonical).utf8)).description)
  }

  /// Replaces the stored bytes of the first chunk of a file in the model's file blob, and makes
  /// every digest and length above it right.
  mutating func replaceStoredChunk(ofFile name: String, by stored: [UInt8]) throws {
    let files = manifest["model"]?["files"]?.array ?? []
    guard let index = files.firstIndex(where: { $0["name"]?.string == name }) else { return }
    func storedBytes(_ files: ArraySlice<JSONValue>) -> Int {
      files.flatMap { $0["chunks"]?.array ?? [] }.reduce(0) { $0 + ($1["stored_bytes"]?.int ?? 0) }
    }
    let start = storedBytes(files[..<index])
    var chunks = files[index]["chunks"]?.array ?? []
    let end = start + (chunks[0]["stored_bytes"]?.int ?? 0)
    let old = manifest["model"]?["blob"]?["digest"]?.string.flatMap { Digest($0) }
    guard let old else { return }
    var blob = try InputFile.contents(of: "\(directory)/\(BundleFiles.blob(old))")
    blob.replaceSubrange(start..<end, with: stored)
    chunks[0]["stored_bytes"] = JSONValue(stored.count)
    chunks[0]["stored_digest"] = .string(Digest(of: stored).description)
    var changed = files
    changed[index]["chunks"] = .array(chunks)
    let digest = Digest(of: blob)
    manifest["model"] = [
      "blob": ["digest": .string(digest.description), "bytes": JSONValue(blob.count)],
      "files": .array(changed),
    ]
    try Directory.writeAtomically(blob, to: "\(directory)/\(BundleFiles.blob(digest))")
    try write()
  }
}

extension JSONValue {
  /// A member, for changing; objects only.
  subscript(member: String) -> JSONValue? {
    get { object?[member] }
    set {
      guard var object else { return }
      object[member] = newValue
      self = .object(object)
    }
  }

  /// Every way of changing one place in the tree by `change`, each as a whole tree.
  func variants(_ change: (JSONValue) -> [JSONValue?]) -> [JSONValue] {
    var result = change(self).compactMap { $0 }
    if let object {
      for (key, value) in object.members {
        for variant in value.variants(change) {
          var copy = object
          copy[key] = variant
          result.append(.object(copy))
        }
      }
    }
    if let array {
      for (index, value) in array.enumerated() {
        for variant in value.variants(change) {
          var copy = array
          copy[index] = variant
          result.append(.array(copy))
        }
      }
    }
    return result
  }
}
