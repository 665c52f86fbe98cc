import StrictJSON
import TensorCore

/// JSON files of a checkpoint directory.
enum CheckpointJSON {
  /// Reads a file that has to hold one JSON object.
  static func object(path: String, limit: Int) throws -> JSONObject {
    let bytes = try InputFile.contents(of: path, limit: limit)
    let value: JSONValue
    do {
      value = try JSONParsing().parse(bytes)
    } catch {
      throw CheckpointFault(
        "notJSON", "\(path) is not strict JSON: \(error); download or write the file again",
        file: path)
    }
    guard let object = value.object else {
      throw CheckpointFault(
        "notJSON", "\(path) holds \(value.kindName), not a JSON object; download the file again",
        file: path)
    }
    return object
  }
}
