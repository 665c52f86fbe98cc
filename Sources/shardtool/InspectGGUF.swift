import Checkpoints
import CommandLineSupport
import StrictJSON
import TensorCore

extension Description {
  /// Of a GGUF file and all its parts.
  static func gguf(_ file: GGUFFile) -> Description {
    let bytes = file.parts.reduce(0) { $0 + $1.byteCount }
    var object: JSONObject = [
      "schema": "shardtool.inspect/1", "kind": "gguf", "path": .string(file.path),
      "version": JSONValue(file.header.version), "parts": JSONValue(file.parts.count),
      "bytes": JSONValue(bytes),
    ]
    var metadata = JSONObject()
    var keys = TextTable([("key", .left), ("value", .left)])
    for key in file.header.keys {
      guard let value = file[key] else { continue }
      metadata[key] = json(of: value)
      keys.add([key, text(of: value)])
    }
    object["metadata"] = .object(metadata)
    var tensors: [JSONValue] = []
    var table = TextTable([
      ("tensor", .left), ("type", .left), ("shape", .left), ("bytes", .right),
    ])
    for tensor in file.tensors {
      tensors.append([
        "name": .string(tensor.name), "type": .string(tensor.type.name),
        "shape": .array(tensor.shape.map { JSONValue($0) }), "bytes": JSONValue(tensor.byteCount),
      ])
      table.add([tensor.name, tensor.type.name, "\(tensor.shape)", "\(tensor.byteCount)"])
    }
    object["tensors"] = .array(tensors)
    let parts = file.parts.count > 1 ? ", \(file.parts.count) parts" : ""
    let heading = """
      kind     GGUF file, version \(file.header.version)\(parts)
      bytes    \(Quantity.describe(bytes: bytes))
      tensors  \(file.tensors.count)


      """
    return Description(
      json: .object(object),
      text: heading + keys.rendered() + (tensors.isEmpty ? "" : "\n" + table.rendered()))
  }

  /// A value as one line.
  private static func text(of value: GGUFValue) -> String {
    switch value {
    case .unsigned(let number): return "\(number)"
    case .signed(let number): return "\(number)"
    case .float(let number): return "\(number)"
    case .bool(let flag): return "\(flag)"
    case .string(let text): return Excerpt.quoted(text, limit: 60)
    case .strings(let texts):
      let shown = texts.prefix(4).map { Excerpt.quoted($0, limit: 16) }.joined(separator: ", ")
      return "\(Quantity.count(texts.count, "string")): \(shown)\(texts.count > 4 ? ", …" : "")"
    case .numbers(let array):
      let shown = (0..<min(4, array.count)).map { text(of: array[$0]) }.joined(separator: ", ")
      return "\(Quantity.count(array.count, "number")): \(shown)\(array.count > 4 ? ", …" : "")"
    }
  }

  /// Numbers and short texts as they are, of arrays how long they are.
  private static func json(of value: GGUFValue) -> JSONValue {
    switch value {
    case .unsigned(let number): Int(exactly: number).map { JSONValue($0) } ?? .string("\(number)")
    case .signed(let number): JSONValue(Int(number))
    case .float(let number): number.isFinite ? .double(number) : .string("\(number)")
    case .bool(let flag): .bool(flag)
    case .string(let text): .string(text)
    case .strings(let texts): ["count": JSONValue(texts.count)]
    case .numbers(let array): ["count": JSONValue(array.count)]
    }
  }
}
