import Checkpoints
import ModelArchitectures
import Quantization
import StrictJSON
import TensorCore

/// A checkpoint with made-up weights, written one component a file in bounded memory.
struct SyntheticCheckpoint {
  let architecture: any ModelArchitecture
  let seed: UInt64

  /// A stored tensor: its name and shape in the checkpoint, and what its numbers look like.
  private struct StoredSource {
    let name: String
    let shape: [Int]
    let numbers: Numbers
    var byteCount: Int { shape.reduce(2, *) }
  }

  /// mean + deviation · a normal draw.
  private struct Numbers {
    let mean: Float
    let deviation: Float
  }

  /// Writes the weights and the index; returns their bytes.
  func write(to directory: String, progress: ProgressHandler) throws -> Int {
    var seen: Set<String> = []
    let files = architecture.components.map { component in
      architecture.tensors(of: component).compactMap { spec -> StoredSource? in
        guard seen.insert(spec.source.names[0]).inserted else { return nil }
        return StoredSource(
          name: spec.source.names[0], shape: spec.source.shape, numbers: numbers(of: spec))
      }
    }.filter { !$0.isEmpty }
    let total = files.joined().reduce(0) { $0 + $1.byteCount }
    var map = JSONObject()
    var done = 0
    for (index, tensors) in files.enumerated() {
      let name = "model-\(padded(index + 1))-of-\(padded(files.count)).safetensors"
      let writer = try SafetensorsWriter(
        path: "\(directory)/\(name)", tensors: tensors.map { ($0.name, .f16, $0.shape) },
        metadata: [("format", "pt")])
      for tensor in tensors {
        try fill(tensor, writer)
        map[tensor.name] = .string(name)
        done += tensor.byteCount
        progress(ProgressUpdate(phase: "synth", completedBytes: done, totalBytes: total))
      }
      try writer.finish()
    }
    let index: JSONValue = [
      "metadata": ["total_size": JSONValue(total)], "weight_map": .object(map),
    ]
    try Directory.writeAtomically(
      Array(index.serialized(.pretty).utf8), to: directory + "/model.safetensors.index.json")
    return total
  }

  private func padded(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }

  private func numbers(of spec: TensorSpec) -> Numbers {
    switch spec.role {
    case .norm: Numbers(mean: 1, deviation: 0.1)
    case .bias: Numbers(mean: 0, deviation: 0.05)
    case .tokenEmbedding, .positionEmbedding: Numbers(mean: 0, deviation: 0.5)
    default: Numbers(mean: 0, deviation: Float(1 / Double(spec.columns).squareRoot()))
    }
  }

  /// Draws a tensor's numbers from a table of normal quantiles in half precision.
  private func fill(_ tensor: StoredSource, _ writer: SafetensorsWriter) throws {
    let table = NormalQuantiles.table.map { value in
      Float16(tensor.numbers.mean + tensor.numbers.deviation * value).bitPattern
    }
    var state = Self.hash(tensor.name) ^ seed
    var block = [UInt16](repeating: 0, count: 1 << 20)
    let count = tensor.byteCount / 2
    var offset = 0
    while offset < count {
      let part = min(block.count, count - offset)
      for index in 0..<part { block[index] = table[Int(SplitMix.next(&state) >> 52)] }
      try block.withUnsafeBytesSpan(part * 2) { try writer.write(tensor.name, $0, at: offset * 2) }
      offset += part
    }
  }

  /// FNV-1a, so that a tensor's numbers depend on its name and not on its place.
  private static func hash(_ name: String) -> UInt64 {
    name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }
}

extension Array where Element == UInt16 {
  /// The first bytes of the array.
  fileprivate func withUnsafeBytesSpan(
    _ byteCount: Int, _ body: (RawSpan) throws -> Void
  ) throws {
    try unsafe withUnsafeBytes { buffer in
      try unsafe body(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: buffer[..<byteCount])))
    }
  }
}
