import Checkpoints
import ModelArchitectures
import TensorCore

extension FuzzTarget {
  static let checkpoints: [FuzzTarget] = [
    FuzzTarget("safetensors") { bytes, place in
      let file = try SafetensorsFile(
        path: try place.write(framed(bytes), as: "model.safetensors"))
      for entry in file.entries where entry.elementCount <= 4096 {
        if [.f16, .bf16, .f32].contains(entry.dataType) { _ = try file.floats(entry.name) }
        if entry.dataType == .i32 { _ = try file.int32s(entry.name) }
      }
    },
    FuzzTarget("gguf") { bytes, place in
      let file = try GGUFFile(path: try place.write(bytes, as: "model.gguf"))
      for tensor in file.tensors where tensor.byteCount <= 4096 {
        _ = try file.bytes(of: tensor, 0..<tensor.byteCount)
      }
      for key in file.header.keys {
        _ = file[key]?.numbers?.doubles
        _ = file[key]?.strings?.count
      }
    },
    FuzzTarget("index", prepare: prepareShards) { bytes, place in
      _ = try place.write(bytes, as: "model.safetensors.index.json")
      let checkpoint = try Checkpoint(directory: place.path)
      for name in checkpoint.tensorNames { _ = checkpoint.path(of: name) }
    },
    FuzzTarget("config", prepare: prepareWeights) { bytes, place in
      _ = try place.write(bytes, as: "config.json")
      let checkpoint = try Checkpoint(directory: place.path)
      let model = try ArchitectureRegistry.architecture(for: checkpoint.configuration)
      let last = model.dimensions.layerCount - 1
      for component in [Component.embedding, .block(0), .block(last), .head] {
        _ = model.tensors(of: component)
      }
      _ = model.keyValueShape(layer: last)
      _ = model.makeRotaryTables(positions: 4)
    },
  ]

  /// Text that begins with a brace stands for a header: it gets its length in front, and what
  /// follows a NUL in it becomes the data. Other bytes are a file as they are.
  private static func framed(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.first == UInt8(ascii: "{") else { return bytes }
    let header = bytes.prefix { $0 != 0 }
    let length = UInt64(header.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + header
      + bytes.dropFirst(header.count + 1)
  }

  private static func prepareWeights(_ place: FuzzPlace) throws {
    _ = try place.write(framed(Array("{}".utf8)), as: "model.safetensors")
  }

  /// Two shards, with a tensor `x` in the one and `y` in the other.
  private static func prepareShards(_ place: FuzzPlace) throws {
    _ = try place.write(Array("{}".utf8), as: "config.json")
    for (name, file) in [("x", "a.safetensors"), ("y", "b.safetensors")] {
      let header = "{\"\(name)\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"
      _ = try place.write(framed(Array(header.utf8) + [0, 7]), as: file)
    }
  }
}
