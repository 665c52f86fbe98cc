import Checkpoints
import Quantization
import ShardPreparation
import StrictJSON
import TensorCore
import TensorKernels
import TestSupport

@discardableResult
func quantize(
  _ source: String, to target: String, recipe: Recipe = .bits4, threads: Int = 2
) throws -> QuantizeReport {
  try Quantizer(try Checkpoint(directory: source), recipe: recipe)
    .run(to: target, pool: WorkerPool(threads: threads))
}

/// All files of a directory with their bytes.
func files(in directory: String) throws -> [String: [UInt8]] {
  var result: [String: [UInt8]] = [:]
  for name in try Directory.names(in: directory) {
    result[name] = try InputFile.contents(of: "\(directory)/\(name)")
  }
  return result
}

/// Copies the files of a directory that another thread may be changing: what is gone by then is
/// left out, as a kill would leave it.
func copyFiles(_ from: String, _ to: String) {
  try? Directory.create(to)
  for name in (try? Directory.names(in: from)) ?? [] {
    guard let bytes = try? InputFile.contents(of: "\(from)/\(name)") else { continue }
    try? Directory.writeAtomically(bytes, to: "\(to)/\(name)")
  }
}

/// The code of the fault that a piece of work ends in; "none" where it succeeds.
func faultCode(_ body: () throws -> Void) -> String {
  do {
    try body()
    return "none"
  } catch let fault as any Fault {
    return fault.code
  } catch {
    return "\(error)"
  }
}

/// A Llama checkpoint of 2 layers and width 32 whose parts can be changed before it is written.
struct SmallCheckpoint {
  var configuration: JSONObject = [
    "model_type": "llama", "vocab_size": 40, "hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 64, "tie_word_embeddings": false,
  ]
  var tensors: [String: (dataType: DataType, shape: [Int], values: [Float])] = [:]

  init(seed: UInt64 = 1) {
    var generator = SeededGenerator(seed: seed)
    var shapes: [(String, [Int])] = [
      ("model.embed_tokens.weight", [40, 32]), ("model.norm.weight", [32]),
      ("lm_head.weight", [40, 32]),
    ]
    for layer in 0..<2 {
      let prefix = "model.layers.\(layer)"
      shapes += [
        ("\(prefix).input_layernorm.weight", [32]),
        ("\(prefix).post_attention_layernorm.weight", [32]),
        ("\(prefix).self_attn.q_proj.weight", [32, 32]),
        ("\(prefix).self_attn.k_proj.weight", [16, 32]),
        ("\(prefix).self_attn.v_proj.weight", [16, 32]),
        ("\(prefix).self_attn.o_proj.weight", [32, 32]),
        ("\(prefix).mlp.gate_proj.weight", [48, 32]), ("\(prefix).mlp.up_proj.weight", [48, 32]),
        ("\(prefix).mlp.down_proj.weight", [32, 48]),
      ]
    }
    for (name, shape) in shapes {
      let count = shape.reduce(1, *)
      let values = (0..<count).map { _ in Float(generator.next() >> 40) / 8_388_608 - 1 }
      tensors[name] = (.f32, shape, values)
    }
  }

  func write(to directory: String) throws {
    try Directory.create(directory)
    try Directory.writeAtomically(
      Array(JSONValue.object(configuration).serialized(.pretty).utf8),
      to: "\(directory)/config.json")
    let ordered = tensors.sorted { $0.key < $1.key }
    let writer = try SafetensorsWriter(
      path: "\(directory)/model.safetensors",
      tensors: ordered.map { ($0.key, $0.value.dataType, $0.value.shape) })
    for (name, tensor) in ordered {
      var planes: [[UInt8]] = []
      if let scheme = PassThroughScheme(keeping: tensor.dataType) {
        scheme.encode(
          tensor.values.span, rowCount: 1, columns: tensor.values.count, into: &planes)
      } else {
        planes = [
          [UInt8](repeating: 0, count: tensor.values.count * tensor.dataType.byteCount)
        ]
      }
      try writer.write(name, planes[0])
    }
    try writer.finish()
  }
}
