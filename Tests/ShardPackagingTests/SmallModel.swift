import Checkpoints
import Foundation
import ModelArchitectures
import Quantization
import ShardPlanning
import StrictJSON
import TensorCore
import TestSupport

/// A model of a few kilobytes in quantized form, and plans for it.
struct SmallModel {
  var layers = 2
  var hidden = 32
  var vocabulary = 40
  var tiesEmbeddings = false
  var seed: UInt64 = 1
  /// Schemes of the matrices, in turn.
  var schemes = ["q4", "q8", "f16", "bf16", "f32"]
  /// Whether weights are normally distributed, as those of real models nearly are.
  var isNormal = false
  var tokenizer = #"{"version":"1.0","note":"not a real one, but compressible aaaaaaaaaaaaaaaa"}"#

  /// A real one, which the commands take.
  static let soundTokenizer =
    #"{"added_tokens":[],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#

  var configuration: JSONObject {
    [
      "model_type": "llama", "architectures": ["LlamaForCausalLM"],
      "hidden_size": JSONValue(hidden), "intermediate_size": JSONValue(hidden),
      "num_hidden_layers": JSONValue(layers), "num_attention_heads": 2,
      "num_key_value_heads": 1, "vocab_size": JSONValue(vocabulary),
      "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu",
      "rope_theta": 10000.0, "tie_word_embeddings": .bool(tiesEmbeddings),
    ]
  }

  /// Writes the quantized checkpoint as `shardtool quantize` does.
  @discardableResult
  func write(to directory: String) throws -> QuantizedCheckpoint {
    try Directory.create(directory)
    let architecture = try ArchitectureRegistry.architecture(for: configuration)
    var generator = SeededGenerator(seed: seed)
    var stored: [StoredTensor] = []
    var planes: [(name: String, dataType: DataType, shape: [Int], bytes: [UInt8])] = []
    var seen: Set<String> = []
    var turn = 0
    for spec in architecture.components.flatMap(architecture.tensors) {
      guard seen.insert(spec.name).inserted else { continue }
      var name = "f32"
      if spec.shape.count == 2 {
        name = schemes[turn % schemes.count]
        turn += 1
      }
      let tensor = StoredTensor(
        name: spec.name, scheme: try Schemes.named(name), shape: spec.shape)
      let values = (0..<tensor.elementCount).map { _ in
        isNormal ? Self.normal(using: &generator) : Self.peaked(using: &generator)
      }
      var bytes: [[UInt8]] = []
      tensor.scheme.encode(
        values.span, rowCount: tensor.rows, columns: tensor.columns, into: &bytes)
      for (index, plane) in tensor.planes.enumerated() {
        planes.append(
          (tensor.storageName(plane: index), plane.dataType, plane.shape, bytes[index]))
      }
      stored.append(tensor)
    }
    var configuration = configuration
    configuration["quantization_config"] =
      QuantizationRecord(recipe: "test", tensors: stored).json
    try Directory.writeAtomically(
      Array(JSONValue.object(configuration).serialized(.pretty).utf8),
      to: "\(directory)/config.json")
    try Directory.writeAtomically(Array(tokenizer.utf8), to: "\(directory)/tokenizer.json")
    let writer = try SafetensorsWriter(
      path: "\(directory)/model.safetensors",
      tensors: planes.map { ($0.name, $0.dataType, $0.shape) })
    for plane in planes { try writer.write(plane.name, plane.bytes) }
    try writer.finish()
    return try QuantizedCheckpoint(directory: directory)
  }

  private static func peaked(using generator: inout SeededGenerator) -> Float {
    Float.random(in: -1...1, using: &generator) * Float.random(in: 0...1, using: &generator)
  }

  /// Box and Muller's method, a fiftieth wide.
  private static func normal(using generator: inout SeededGenerator) -> Float {
    let radius = (-2 * log(Double.random(in: Double.leastNonzeroMagnitude...1, using: &generator)))
      .squareRoot()
    return Float(0.02 * radius * cos(Double.random(in: 0...(2 * .pi), using: &generator)))
  }

  /// A plan that gives each node that many layers.
  func plan(_ split: [Int], headFirst: Bool = false) throws -> ShardPlan {
    var first = 0
    var nodes: [PlannedNode] = []
    for (index, count) in split.enumerated() {
      let isLast = index == split.count - 1
      nodes.append(
        PlannedNode(
          name: "node-\(index)", layers: first..<(first + count), holdsEmbedding: index == 0,
          holdsHead: headFirst ? index == 0 : isLast,
          ledger: MemoryLedger(
            entries: [.init(kind: .runtime, bytes: 1)], ramBytes: 1 << 30, reserveBytes: 0),
          predicted: StagePrediction(
            decodeNanoseconds: 1, prefillNanoseconds: 1, sendNanoseconds: 1)))
      first += count
    }
    return try ShardPlan(
      facts: ModelFacts(
        family: "llama", layerCount: layers, hiddenSize: hidden, vocabularySize: vocabulary,
        contextLength: 64),
      settings: PlanSettings(context: 64), objective: .latency, nodes: nodes,
      prediction: PlanPrediction(
        workload: .standard(context: 64), tokenNanoseconds: 1, firstTokenNanoseconds: 1,
        bottleneckNanoseconds: 1))
  }
}

/// Files of a directory tree by path, each with its bytes.
func contents(of directory: String, below prefix: String = "") throws -> [String: [UInt8]] {
  var files: [String: [UInt8]] = [:]
  for name in try Directory.names(in: directory) {
    let path = "\(directory)/\(name)"
    if Directory.exists(path) {
      files.merge(try contents(of: path, below: "\(prefix)\(name)/")) { $1 }
    } else {
      files[prefix + name] = try InputFile.contents(of: path)
    }
  }
  return files
}

/// Copies a directory tree without links, so that changing one file changes no other.
func copyTree(_ source: String, to target: String) throws {
  for (path, bytes) in try contents(of: source) {
    try Directory.create(Directory.parent(of: "\(target)/\(path)"))
    try Directory.writeAtomically(bytes, to: "\(target)/\(path)")
  }
}

/// The fault that `body` throws.
func fault(_ body: () throws -> Void) -> (any Fault)? {
  do { try body() } catch { return error as? any Fault }
  return nil
}
