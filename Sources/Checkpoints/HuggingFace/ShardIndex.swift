import StrictJSON
import TensorCore

/// `model.safetensors.index.json`: which file of a sharded checkpoint holds which tensor.
struct ShardIndex {
  static let fileName = "model.safetensors.index.json"
  private static let maximumByteCount = 128 << 20

  let path: String
  /// Tensor and file name, in the order of the index.
  let shards: [(tensor: String, file: String)]

  /// The files, each once, sorted.
  var fileNames: [String] { Set(shards.map(\.file)).sorted() }

  init(path: String) throws {
    self.path = path
    let object = try CheckpointJSON.object(path: path, limit: Self.maximumByteCount)
    guard let map = object["weight_map"]?.object else {
      throw CheckpointFault(
        "badIndex",
        "\(path) has no object \"weight_map\" that says which file holds which tensor; "
          + "download the index again", file: path)
    }
    shards = try map.members.map { tensor, value throws(CheckpointFault) in
      guard let file = value.string else {
        throw CheckpointFault(
          "badIndex",
          "\(path) gives \(value.kindName) for tensor \(Excerpt.quoted(tensor)), not the name of "
            + "a file; download the index again", file: path, tensor: tensor)
      }
      guard Self.isPlainName(file) else {
        throw CheckpointFault(
          "pathEscape",
          "\(path) places tensor \(Excerpt.quoted(tensor)) in \(Excerpt.quoted(file)), which is no "
            + "plain file name; shards have to lie beside the index: do not trust this checkpoint",
          file: path, tensor: tensor)
      }
      return (tensor, file)
    }
  }

  /// A name that stays within the directory on every system.
  private static func isPlainName(_ name: String) -> Bool {
    !name.isEmpty && name != "." && name != ".." && name.utf8.count <= 255
      && name.unicodeScalars.allSatisfy { scalar in
        scalar != "/" && scalar != "\\" && scalar != ":" && scalar.value >= 0x20
          && scalar.value != 0x7F
      }
  }
}
