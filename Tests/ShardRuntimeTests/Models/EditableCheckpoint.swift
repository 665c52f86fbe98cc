import Checkpoints
import Quantization
import StrictJSON
import TensorCore
import TestSupport

/// A checkpoint in memory that a test can change before it writes it anew.
struct EditableCheckpoint {
  /// A tensor of one or two dimensions.
  struct Tensor {
    var shape: [Int]
    var values: [Float]

    var rows: Int { shape.count > 1 ? shape[0] : values.count }
    var columns: Int { shape.count > 1 ? shape[1] : 1 }

    /// Row i becomes what row `order[i]` was; a vector's elements count as rows.
    mutating func reorderRows(_ order: [Int]) {
      precondition(order.count == rows, "an order of \(order.count) for \(rows) rows")
      values = order.flatMap { values[($0 * columns)..<(($0 + 1) * columns)] }
    }

    mutating func reorderColumns(_ order: [Int]) {
      transpose()
      reorderRows(order)
      transpose()
    }

    mutating func transpose() {
      values = (0..<columns).flatMap { column in
        (0..<rows).map { values[$0 * columns + column] }
      }
      shape.reverse()
    }

    mutating func scale(by factor: Float) { values = values.map { $0 * factor } }
    mutating func fill(_ value: Float) { values = values.map { _ in value } }
  }

  /// A test that changes a tensor which is not there would prove nothing.
  struct NoSuchTensor: Error { let ending: String }

  var configuration: JSONObject
  var tensors: [String: Tensor]

  /// Reads a checkpoint, without buffers of other types or shapes.
  init(_ directory: String) throws {
    let checkpoint = try Checkpoint(directory: directory)
    configuration = checkpoint.configuration
    tensors = [:]
    for name in checkpoint.tensorNames {
      guard let entry = checkpoint.entry(name), (1...2).contains(entry.shape.count),
        [.f16, .bf16, .f32].contains(entry.dataType)
      else { continue }
      var values = [Float](repeating: 0, count: entry.elementCount)
      var span = values.mutableSpan
      let rows = entry.shape.count > 1 ? entry.shape[0] : 1
      try checkpoint.readFloats(name, rows: 0..<rows, into: &span)
      tensors[name] = Tensor(shape: entry.shape, values: values)
    }
  }

  /// Writes all tensors as F32 into one file.
  func write(to directory: String) throws {
    try Directory.create(directory)
    try Directory.writeAtomically(
      Array(JSONValue.object(configuration).serialized(.pretty).utf8),
      to: directory + "/config.json")
    let ordered = tensors.sorted { $0.key < $1.key }
    let writer = try SafetensorsWriter(
      path: directory + "/model.safetensors",
      tensors: ordered.map { ($0.key, .f32, $0.value.shape) })
    for (name, tensor) in ordered {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(4 * tensor.values.count)
      for value in tensor.values {
        let bits = value.bitPattern
        for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: bits >> shift)) }
      }
      try writer.write(name, bytes)
    }
    try writer.finish()
  }

  /// Changes every tensor whose name has this ending.
  mutating func change(_ ending: String, _ body: (inout Tensor) -> Void) throws {
    let names = tensors.keys.filter { $0.hasSuffix(ending) }
    guard !names.isEmpty else { throw NoSuchTensor(ending: ending) }
    for name in names {
      guard var tensor = tensors[name] else { continue }
      body(&tensor)
      tensors[name] = tensor
    }
  }

  mutating func zero(_ ending: String) throws { try change(ending) { $0.fill(0) } }

  mutating func rename(_ body: (String) -> String) {
    tensors = Dictionary(uniqueKeysWithValues: tensors.map { (body($0.key), $0.value) })
  }

  /// A positive integer of config.json, under the first of these names that is there.
  func count(_ keys: String...) -> Int {
    for key in keys { if let number = configuration[key]?.int { return number } }
    preconditionFailure("config.json lacks \(keys)")
  }
}
