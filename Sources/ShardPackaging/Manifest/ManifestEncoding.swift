import ModelArchitectures
import StrictJSON

extension Manifest {
  /// The bytes of manifest.json: canonical JSON behind its own digest.
  public var fileBytes: [UInt8] { Envelope.seal(json, name: Self.envelopeName) }

  static let envelopeName = "manifest"

  var json: JSONValue {
    [
      "schema": .string(Self.schema),
      "name": .string(name),
      "sequence": JSONValue(sequence),
      "provenance": provenance.json,
      "model_id": .string(modelID.description),
      "bundle_id": .string(bundleID.description),
      "compressor": .string(compressor),
      "chunk_bytes": JSONValue(chunkByteCount),
      "components": .array(components.map(\.json)),
      "model": modelFiles.json,
      "plan": planFiles.json,
      "nodes": Self.json(nodes),
    ]
  }

  static func json(_ nodes: [ManifestNode]) -> JSONValue {
    .array(
      nodes.map { node in
        [
          "name": .string(node.name),
          "components": .array(node.components.map { .string($0.name) }),
        ]
      })
  }
}

extension BlobReference {
  var json: JSONValue { ["digest": .string(digest.description), "bytes": JSONValue(byteCount)] }
}

extension ManifestComponent {
  var json: JSONValue {
    [
      "name": .string(component.name), "blob": blob.json,
      "tensors": .array(tensors.map(\.json)),
      "shared": .array(shared.map { .string($0) }),
    ]
  }
}

extension ManifestTensor {
  var json: JSONValue {
    let layouts = stored.planes
    let planes = zip(layouts, self.planes).map { layout, chunks -> JSONValue in
      [
        "name": .string(layout.name), "dtype": .string(layout.dataType.rawValue),
        "shape": .array(layout.shape.map { JSONValue($0) }),
        "chunks": .array(chunks.map(\.json)),
      ]
    }
    return [
      "name": .string(stored.name), "scheme": .string(stored.scheme.name),
      "shape": .array(stored.shape.map { JSONValue($0) }), "planes": .array(planes),
    ]
  }
}

extension Chunk {
  var json: JSONValue {
    [
      "codec": .string(codec.rawValue),
      "raw_bytes": JSONValue(rawByteCount), "raw_digest": .string(rawDigest.description),
      "stored_bytes": JSONValue(storedByteCount),
      "stored_digest": .string(storedDigest.description),
    ]
  }
}

extension ManifestFileSet {
  var json: JSONValue {
    [
      "blob": blob.json,
      "files": .array(
        files.map { file in
          [
            "name": .string(file.name), "bytes": JSONValue(file.byteCount),
            "chunks": .array(file.chunks.map(\.json)),
          ]
        }),
    ]
  }
}

/// Identities over raw digests (docs/format.md §5): the same on every machine, whatever the
/// compressor made of the bytes.
extension Manifest {
  static func modelID(
    chunkByteCount: Int, components: [ManifestComponent], files: ManifestFileSet
  ) -> Digest {
    func digests(_ chunks: [Chunk]) -> JSONValue {
      .array(chunks.map { .string($0.rawDigest.description) })
    }
    let components = components.map { entry -> JSONValue in
      [
        "name": .string(entry.component.name),
        "shared": .array(entry.shared.map { .string($0) }),
        "tensors": .array(
          entry.tensors.map { tensor in
            [
              "name": .string(tensor.stored.name), "scheme": .string(tensor.stored.scheme.name),
              "shape": .array(tensor.stored.shape.map { JSONValue($0) }),
              "planes": .array(tensor.planes.map(digests)),
            ]
          }),
      ]
    }
    let document: JSONValue = [
      "chunk_bytes": JSONValue(chunkByteCount), "components": .array(components),
      "files": .array(
        files.files.map { ["name": .string($0.name), "chunks": digests($0.chunks)] }),
    ]
    return Digest(of: Array(document.serialized(.canonical).utf8))
  }

  static func bundleID(
    modelID: Digest, plan: ManifestFileSet, nodes: [ManifestNode]
  ) -> Digest {
    let plan = plan.files.flatMap(\.chunks).map { JSONValue.string($0.rawDigest.description) }
    let document: JSONValue = [
      "model_id": .string(modelID.description), "nodes": json(nodes), "plan": .array(plan),
    ]
    return Digest(of: Array(document.serialized(.canonical).utf8))
  }
}
