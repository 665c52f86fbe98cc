import Checkpoints
import Quantization
import StrictJSON
import TensorCore
import TestSupport
import Testing

@Suite struct QuantizedCheckpointTests {
  private static let tensors = [
    StoredTensor(name: "a.weight", scheme: Schemes.q4, shape: [6, 40]),
    StoredTensor(name: "b.weight", scheme: Schemes.q8, shape: [3, 64]),
    StoredTensor(name: "norm.weight", scheme: Schemes.f16, shape: [5]),
  ]

  /// Writes a small quantized checkpoint and returns the weights that went in.
  private func write(
    to directory: String, record: JSONValue? = nil, leavingOut: String? = nil,
    adding extra: String? = nil
  ) throws -> [String: [Float]] {
    var planes: [(name: String, dataType: DataType, shape: [Int])] = []
    var bytes: [[UInt8]] = []
    var floats: [String: [Float]] = [:]
    for (seed, tensor) in Self.tensors.enumerated() {
      let weights = gaussian(tensor.elementCount, seed: UInt64(seed))
      floats[tensor.name] = weights
      let encoded = encoded(tensor.scheme, weights, tensor.rows, tensor.columns)
      for (index, plane) in tensor.planes.enumerated() {
        let name = tensor.storageName(plane: index)
        guard name != leavingOut else { continue }
        planes.append((name, plane.dataType, plane.shape))
        bytes.append(encoded[index])
      }
    }
    if let extra {
      planes.append((extra, .u8, [1]))
      bytes.append([1])
    }
    let writer = try SafetensorsWriter(path: "\(directory)/model.safetensors", tensors: planes)
    for (plane, content) in zip(planes, bytes) { try writer.write(plane.name, content) }
    try writer.finish()
    var configuration: JSONObject = ["model_type": "test"]
    configuration[QuantizationRecord.key] =
      record ?? QuantizationRecord(recipe: "mixed", tensors: Self.tensors).json
    try Directory.writeAtomically(
      Array(JSONValue.object(configuration).serialized(.pretty).utf8),
      to: "\(directory)/config.json")
    return floats
  }

  private func code(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "none"
    } catch let fault as any Fault {
      return fault.code
    } catch {
      return "\(error)"
    }
  }

  @Test func tensorsAreReadAsWritten() throws {
    let directory = try TemporaryDirectory()
    let weights = try write(to: directory.path)
    let checkpoint = try QuantizedCheckpoint(directory: directory.path)
    #expect(checkpoint.recipe == "mixed")
    #expect(checkpoint.tensors.count == 3)
    #expect(checkpoint.configuration["model_type"] == "test")
    for tensor in Self.tensors {
      let read = try #require(checkpoint.tensors[tensor.name])
      #expect(read.shape == tensor.shape)
      #expect(read.scheme.name == tensor.scheme.name)
      let expected = try roundTrip(
        tensor.scheme, try #require(weights[tensor.name]), tensor.rows, tensor.columns)
      let rows = tensor.rows > 2 ? 1..<3 : 0..<tensor.rows
      var floats = [Float](repeating: 0, count: rows.count * tensor.columns)
      var span = floats.mutableSpan
      try checkpoint.readFloats(read, rows: rows, into: &span)
      let from = rows.lowerBound * tensor.columns
      #expect(floats == Array(expected[from..<from + floats.count]))
    }
  }

  @Test func vectorsKeepTheirShape() {
    #expect(Self.tensors[2].planes.map(\.shape) == [[5]])
    #expect(Self.tensors[2].storageName(plane: 0) == "norm.weight")
    #expect(Self.tensors[0].storageName(plane: 1) == "a.weight.block_scale")
    #expect(Self.tensors[0].planes.map(\.shape) == [[6], [6, 4], [6, 32]])
    #expect(Self.tensors[0].byteCount == 6 * (4 + 4 + 32))
  }

  @Test(arguments: ["a.weight.codes", "b.weight.row_scale", "norm.weight"])
  func missingPlanesAreNamed(name: String) throws {
    let directory = try TemporaryDirectory()
    _ = try write(to: directory.path, leavingOut: name)
    let fault = #expect(throws: QuantizationFault.self) {
      try QuantizedCheckpoint(directory: directory.path)
    }
    #expect(fault?.code == "quantization.badPlane")
    #expect(fault?.message.contains(name) == true)
  }

  @Test func strayTensorsAreNamed() throws {
    let directory = try TemporaryDirectory()
    _ = try write(to: directory.path, adding: "stray")
    let fault = #expect(throws: QuantizationFault.self) {
      try QuantizedCheckpoint(directory: directory.path)
    }
    #expect(fault?.message.contains("stray") == true)
  }

  @Test(arguments: [
    (#"null"#, "foreignMethod"),
    (#"{"quant_method":"gptq"}"#, "foreignMethod"),
    (#"{"quant_method":"shardtool"}"#, "badRecord"),
    (#"{"quant_method":"shardtool","version":"2","recipe":"r","tensors":{}}"#, "badRecord"),
    (#"{"quant_method":"shardtool","version":1,"recipe":"r","tensors":{}}"#, "version"),
    (#"{"quant_method":"shardtool","version":3,"recipe":"r","tensors":{}}"#, "version"),
    (#"{"quant_method":"shardtool","version":2,"tensors":{}}"#, "badRecord"),
    (#"{"quant_method":"shardtool","version":2,"recipe":"r"}"#, "badRecord"),
    (#"{"quant_method":"shardtool","version":2,"recipe":"r","tensors":{}}"#, "badPlane"),
    (
      #"{"quant_method":"shardtool","version":2,"recipe":"r","tensors":{"a":{"scheme":"q9"}}}"#,
      "badRecord"
    ),
    (
      #"{"quant_method":"shardtool","version":2,"recipe":"r","tensors":{"a":{"scheme":"q4"}}}"#,
      "badRecord"
    ),
    (
      #"{"quant_method":"shardtool","version":2,"recipe":"r","#
        + #""tensors":{"a":{"scheme":"q4","shape":[1,-4]}}}"#, "badRecord"
    ),
    (
      #"{"quant_method":"shardtool","version":2,"recipe":"r","#
        + #""tensors":{"a":{"scheme":"q4","shape":[4294967296,4294967296]}}}"#, "badRecord"
    ),
    (
      #"{"quant_method":"shardtool","version":2,"recipe":"r","#
        + #""tensors":{"norm.weight":{"scheme":"f32","shape":[5]}}}"#, "badPlane"
    ),
  ])
  func faultyRecordsAreRefused(record: String, reason: String) throws {
    let directory = try TemporaryDirectory()
    _ = try write(to: directory.path, record: try JSONParsing().parse(record))
    let found = code { _ = try QuantizedCheckpoint(directory: directory.path) }
    #expect(found == "quantization.\(reason)")
  }

  /// Version 1 had other grids for q4.
  @Test func anOldVersionIsTold() throws {
    let directory = try TemporaryDirectory()
    let current = QuantizationRecord(recipe: "mixed", tensors: Self.tensors)
    var record = try #require(current.json.object)
    record["version"] = 1
    _ = try write(to: directory.path, record: .object(record))
    let fault = #expect(throws: QuantizationFault.self) {
      try QuantizedCheckpoint(directory: directory.path)
    }
    #expect(fault?.exitStatus == .badData)
    #expect(
      fault?.message.contains(
        "in version 1 of the format, this program reads version 2; quantize again") == true)
  }

  @Test func plainCheckpointsAreNotQuantized() throws {
    let path = Places.fixture("tiny-fable")
    #expect(code { _ = try QuantizedCheckpoint(directory: path) } == "quantization.notQuantized")
    #expect(!QuantizationRecord.isPresent(in: try Checkpoint(directory: path).configuration))
  }
}
