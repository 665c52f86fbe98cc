import Checkpoints
import CommandLineSupport
import ModelArchitectures
import Quantization
import ShardPackaging
import ShardPlanning
import ShardPreparation
import StrictJSON
import TensorCore

/// What `inspect` found, as text and as JSON.
struct Description {
  let json: JSONValue
  let text: String

  private static func object(_ kind: String, _ path: String) -> JSONObject {
    ["schema": "shardtool.inspect/1", "kind": .string(kind), "path": .string(path)]
  }

  /// Lines of names and values, the values below each other.
  private static func lines(_ pairs: [(String, String)]) -> String {
    let width = pairs.reduce(0) { max($0, $1.0.count) }
    return pairs.map { name, value in
      name + String(repeating: " ", count: width - name.count + 2) + value + "\n"
    }.joined()
  }

  static func safetensors(_ file: SafetensorsFile) -> Description {
    var object = object("safetensors", file.path)
    object["bytes"] = JSONValue(file.file.byteCount)
    var metadata = JSONObject()
    for (name, value) in file.metadata { metadata[name] = .string(value) }
    object["metadata"] = .object(metadata)
    var tensors: [JSONValue] = []
    var table = TextTable([
      ("tensor", .left), ("dtype", .left), ("shape", .left), ("bytes", .right),
    ])
    for entry in file.entries {
      tensors.append([
        "name": .string(entry.name), "dtype": .string(entry.dataType.rawValue),
        "shape": .array(entry.shape.map { JSONValue($0) }), "bytes": JSONValue(entry.byteCount),
      ])
      table.add([
        entry.name, entry.dataType.rawValue, "\(entry.shape)", "\(entry.byteCount)",
      ])
    }
    object["tensors"] = .array(tensors)
    let heading = lines([
      ("kind", "safetensors file"), ("bytes", Quantity.describe(bytes: file.file.byteCount)),
      ("tensors", "\(file.entries.count)"),
    ])
    return Description(
      json: .object(object), text: heading + (tensors.isEmpty ? "" : "\n" + table.rendered()))
  }

  static func checkpoint(
    _ inspection: CheckpointInspection, weightsChecked: Bool
  ) -> Description {
    let checkpoint = inspection.checkpoint
    var object = object("checkpoint", checkpoint.directory)
    let (facts, lines) = model(inspection.architecture, checkpoint.configuration)
    object["model"] = facts
    object["parameters"] = JSONValue(inspection.parameterCount)
    object["weight_bytes"] = JSONValue(inspection.byteCount)
    var types = JSONObject()
    for (type, bytes) in inspection.byteCounts { types[type.rawValue] = JSONValue(bytes) }
    object["bytes_by_dtype"] = .object(types)
    let files = checkpoint.weightFiles.map { Directory.name(of: $0.path) }
    object["weight_files"] = .array(files.map { .string($0) })
    object["tokenizer_files"] = .array(checkpoint.tokenizerFiles.map { .string($0) })
    object["warnings"] = .array(inspection.warnings.map { .string($0) })
    object["weights_checked"] = .bool(weightsChecked)
    let stored = inspection.byteCounts.map { "\($0.rawValue) \(Quantity.describe(bytes: $1))" }
    return Description(
      json: .object(object),
      text: Self.lines(
        [("kind", "checkpoint")] + lines + [
          ("parameters", "\(inspection.parameterCount)"),
          ("weights", stored.joined(separator: ", ")),
          ("weight files", "\(files.count)"),
          ("tokenizer files", list(checkpoint.tokenizerFiles)),
          ("weights read", weightsChecked ? "yes, all are numbers" : "no, headers only"),
        ]))
  }

  static func quantized(_ checkpoint: QuantizedCheckpoint) throws -> Description {
    let architecture = try ArchitectureRegistry.architecture(for: checkpoint.configuration)
    _ = try MemoryModel(architecture: architecture, tensors: checkpoint.tensors)
    var object = object("quantized", checkpoint.directory)
    let (facts, lines) = model(architecture, checkpoint.configuration)
    object["model"] = facts
    let provenance = try Provenance(of: checkpoint)
    object["recipe"] = .string(checkpoint.recipe)
    var origin = provenance.json.object
    origin?["packer"] = nil
    object["provenance"] = origin.map { .object($0) }
    object["tokenizer_files"] = .array(checkpoint.tokenizerFiles.map { .string($0) })
    var schemes: [JSONValue] = []
    var table = TextTable([
      ("scheme", .left), ("tensors", .right), ("weights", .right), ("bytes", .right),
      ("bits/weight", .right),
    ])
    for (name, tensors) in Dictionary(grouping: checkpoint.tensors.values, by: \.scheme.name)
      .sorted(by: { $0.key < $1.key })
    {
      let weights = tensors.reduce(0) { $0 + $1.elementCount }
      let bytes = tensors.reduce(0) { $0 + $1.byteCount }
      schemes.append([
        "scheme": .string(name), "tensors": JSONValue(tensors.count),
        "weights": JSONValue(weights), "bytes": JSONValue(bytes),
      ])
      let bits = 8 * Double(bytes) / Double(max(1, weights))
      table.add([
        name, "\(tensors.count)", "\(weights)", Quantity.describe(bytes: bytes),
        Quantity.fixed(bits, digits: 3),
      ])
    }
    object["schemes"] = .array(schemes)
    return Description(
      json: .object(object),
      text: Self.lines(
        [("kind", "quantized checkpoint")] + lines
          + [("tokenizer files", list(checkpoint.tokenizerFiles))]
          + ProvenanceText.lines(provenance, packed: false)) + "\n" + table.rendered())
  }

  static func plan(_ plan: ShardPlan, path: String) -> Description {
    var object = object("plan", path)
    object["plan"] = plan.json
    return Description(
      json: .object(object),
      text: lines([
        ("kind", "plan"),
        ("model", "\(plan.facts.family), \(Quantity.count(plan.facts.layerCount, "layer"))"),
        ("context", "\(plan.context)"), ("sequences", "\(plan.sequences)"),
        ("best", plan.objective.rawValue),
      ]) + "\n" + nodes(of: plan).rendered())
  }

  static func bundle(_ package: VerifiedPackage) throws -> Description {
    let manifest = package.manifest
    let signatures =
      try SignatureEnvelope.read(
        in: package.directory, manifest: manifest.fileBytes)?.signatures ?? []
    let signers = signatures.map(\.keyID.description)
    let report = PackReport(manifest, directory: package.directory, signers: signers)
    var object = object(package.isWholeBundle ? "bundle" : "node", package.directory)
    let (facts, lines) = model(package.architecture, package.configuration)
    object["model"] = facts
    if !package.isWholeBundle { object["node"] = .string(package.node) }
    object["files"] = .array(package.assets.keys.sorted().map { .string($0) })
    object["bundle"] = report.json
    object["provenance"] = manifest.provenance.json
    object["plan"] = package.plan.json
    let origin = ProvenanceText.lines(manifest.provenance, packed: true)
    let kind = package.isWholeBundle ? "bundle" : "bundle part of node \(package.node)"
    return Description(
      json: .object(object),
      text: Self.lines(
        [("kind", kind)] + lines + [
          ("files", list(package.assets.keys.sorted())),
          ("name", "\(manifest.name), number \(manifest.sequence)"),
          ("signed by", ProvenanceText.signers(signers)),
          ("model id", "\(manifest.modelID)"),
          ("compressor", manifest.compressor),
        ] + origin) + "\n" + PackText.render(report) + "\n" + nodes(of: package.plan).rendered())
  }

  private static func nodes(of plan: ShardPlan) -> TextTable {
    var table = TextTable([
      ("node", .left), ("holds", .left), ("process", .right), ("memory", .right),
      ("reserve", .right), ("headroom", .right),
    ])
    for node in plan.nodes {
      table.add([
        node.name, PackText.holdings(node.components),
        Quantity.describe(bytes: node.ledger.total),
        Quantity.describe(bytes: node.ledger.ramBytes),
        Quantity.describe(bytes: node.ledger.reserveBytes),
        Quantity.describe(bytes: node.ledger.headroom),
      ])
    }
    return table
  }

  private static func model(
    _ architecture: any ModelArchitecture, _ configuration: JSONObject
  ) -> (JSONValue, [(String, String)]) {
    let d = architecture.dimensions
    let family = type(of: architecture).family
    let modelType = configuration["model_type"]?.string ?? ""
    let json: JSONValue = [
      "family": .string(family), "model_type": .string(modelType),
      "layers": JSONValue(d.layerCount), "hidden_size": JSONValue(d.hiddenSize),
      "intermediate_size": JSONValue(d.intermediateSize), "heads": JSONValue(d.headCount),
      "key_value_heads": JSONValue(d.keyValueHeadCount),
      "head_dimension": JSONValue(d.headDimension),
      "vocabulary_size": JSONValue(d.vocabularySize),
      "context_length": JSONValue(d.contextLength), "tied_embeddings": .bool(d.tiesEmbeddings),
    ]
    return (
      json,
      [
        ("family", "\(family) (\(modelType))"),
        (
          "shape",
          "\(Quantity.count(d.layerCount, "layer")) of width \(d.hiddenSize), feed-forward "
            + "\(d.intermediateSize)"
        ),
        (
          "attention",
          "\(Quantity.count(d.headCount, "head")) of \(d.headDimension), "
            + "\(d.keyValueHeadCount) for keys and values"
        ),
        ("vocabulary", "\(d.vocabularySize)\(d.tiesEmbeddings ? ", tied to the head" : "")"),
        ("context", "\(d.contextLength)"),
      ]
    )
  }

  private static func list(_ names: [String]) -> String {
    names.isEmpty ? "none" : names.joined(separator: ", ")
  }
}
