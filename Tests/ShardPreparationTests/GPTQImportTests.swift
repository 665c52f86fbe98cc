import Checkpoints
import Quantization
import ShardPreparation
import StrictJSON
import TensorCore
import TensorKernels
import TestSupport
import Testing

/// Checkpoints of GPTQ: exact where the codes are symmetric, refused with a sentence elsewhere.
@Suite struct GPTQImportTests {
  let place: TemporaryDirectory
  init() throws { place = try TemporaryDirectory() }

  private static let linear = [
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj", "mlp.up_proj",
  ]

  private struct Source {
    var record: JSONObject = ["quant_method": "gptq", "bits": 4, "group_size": 32, "sym": true]
    var zeros: UInt32 = 0x7777_7777
    var groupOfLast: Int32 = 0
    var bias: Float = 0
  }

  /// A model whose matrices of 32 columns are codes; gives the values that they mean.
  private func write(_ source: Source) throws -> [String: [Float]] {
    var checkpoint = SmallCheckpoint()
    checkpoint.configuration["quantization_config"] = .object(source.record)
    var generator = SeededGenerator(seed: 9)
    var values: [String: [Float]] = [:]
    var raw: [(name: String, dataType: DataType, shape: [Int], bytes: [UInt8])] = []
    func little(_ numbers: [UInt32]) -> [UInt8] {
      numbers.flatMap { number in
        (0..<4).map { UInt8(truncatingIfNeeded: number >> UInt32(8 * $0)) }
      }
    }
    for layer in 0..<2 {
      for part in Self.linear {
        let stem = "model.layers.\(layer).\(part)"
        let outputs = try #require(checkpoint.tensors[stem + ".weight"]).shape[0]
        checkpoint.tensors[stem + ".weight"] = nil
        let codes = (0..<outputs * 32).map { _ in UInt32(generator.next() & 15) }
        let scales = (0..<outputs).map { _ in
          Float16(Float.random(in: 0.01...0.1, using: &generator))
        }
        values[stem + ".weight"] = (0..<outputs * 32).map {
          Float(scales[$0 / 32]) * (Float(codes[$0]) - 8)
        }
        let packed = (0..<4 * outputs).map { place -> UInt32 in
          let (row, output) = place.quotientAndRemainder(dividingBy: outputs)
          return (0..<8).reduce(0) { $0 | codes[output * 32 + 8 * row + $1] << UInt32(4 * $1) }
        }
        raw.append((stem + ".qweight", .i32, [4, outputs], little(packed)))
        let halves = scales.flatMap {
          [UInt8(truncatingIfNeeded: $0.bitPattern), UInt8($0.bitPattern >> 8)]
        }
        raw.append((stem + ".scales", .f16, [1, outputs], halves))
        let zeros = [UInt32](repeating: source.zeros, count: outputs / 8)
        raw.append((stem + ".qzeros", .i32, [1, outputs / 8], little(zeros)))
        var order = [UInt32](repeating: 0, count: 32)
        order[31] = UInt32(bitPattern: source.groupOfLast)
        raw.append((stem + ".g_idx", .i32, [32], little(order)))
        checkpoint.tensors[stem + ".bias"] = (
          .f32, [outputs], [Float](repeating: source.bias, count: outputs)
        )
      }
    }
    let directory = place.appending("in")
    try checkpoint.write(to: directory)
    try Directory.rename(
      "\(directory)/model.safetensors", to: "\(directory)/plain.safetensors")
    let writer = try SafetensorsWriter(
      path: "\(directory)/codes.safetensors", tensors: raw.map { ($0.name, $0.dataType, $0.shape) })
    for tensor in raw { try writer.write(tensor.name, tensor.bytes) }
    try writer.finish()
    var map = JSONObject()
    for name in checkpoint.tensors.keys.sorted() { map[name] = "plain.safetensors" }
    for tensor in raw { map[tensor.name] = "codes.safetensors" }
    try Directory.writeAtomically(
      Array(JSONValue.object(["weight_map": .object(map)]).serialized(.pretty).utf8),
      to: "\(directory)/model.safetensors.index.json")
    return values
  }

  private func bringIn(_ source: Source) throws -> (QuantizedCheckpoint, [String: [Float]]) {
    let values = try write(source)
    let checkpoint = try Checkpoint(directory: place.appending("in"))
    #expect(GPTQImport.isOne(checkpoint.configuration))
    let target = place.appending("out")
    _ = try GPTQImport(checkpoint).run(to: target, pool: WorkerPool(threads: 2))
    return (try QuantizedCheckpoint(directory: target), values)
  }

  @Test(arguments: ["gptq", "gptq_v2"])
  func symmetricCodesComeInExactly(format: String) throws {
    var source = Source()
    source.record["checkpoint_format"] = .string(format)
    if format == "gptq_v2" { source.zeros = 0x8888_8888 }
    let (checkpoint, values) = try bringIn(source)
    #expect(values.count == 12)
    for (name, expected) in values {
      let tensor = try #require(checkpoint.tensors[name])
      #expect(tensor.scheme.name == "q4_0")
      var floats = [Float](repeating: 0, count: tensor.elementCount)
      var span = floats.mutableSpan
      try checkpoint.readFloats(tensor, rows: 0..<tensor.rows, into: &span)
      #expect(floats == expected, "\(name)")
    }
    #expect(checkpoint.tensors["model.layers.0.mlp.down_proj.weight"]?.scheme.name == "f32")
  }

  @Test func whatIsNotExactIsRefused() throws {
    func code(_ change: (inout Source) -> Void) throws -> String {
      var source = Source()
      change(&source)
      try? Directory.remove(place.appending("in"))
      return faultCode { _ = try bringIn(source) }
    }
    #expect(try code { $0.record["bits"] = 3 } == "preparation.gptq")
    #expect(try code { $0.record["sym"] = false } == "preparation.gptq")
    #expect(try code { $0.record["desc_act"] = true } == "preparation.gptq")
    #expect(try code { $0.record["group_size"] = 20 } == "preparation.gptq")
    #expect(try code { $0.record["group_size"] = 64 } == "none")
    #expect(try code { $0.zeros = 0x7777_7767 } == "preparation.gptq")
    #expect(try code { $0.groupOfLast = 1 } == "preparation.gptq")
    #expect(try code { $0.bias = 1 } == "preparation.extraTensor")
  }
}
