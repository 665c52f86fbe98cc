import TensorCore

/// Token ids in a file: an I32 tensor `ids` of a safetensors file, or whitespace-separated text.
public enum TokenFile {
  /// Reads either form; a safetensors file is known by the brace that begins its header.
  ///
  /// Throws: `CheckpointFault` or `FileFault`, each naming the file.
  public static func read(_ path: String) throws -> [Int32] {
    let file = try InputFile(path: path)
    let isSafetensors = try file.byteCount > 8 && file.bytes(at: 8, count: 1) == [UInt8(ascii: "{")]
    if isSafetensors { return try SafetensorsFile(path: path).int32s("ids") }
    return try parse(try InputFile.contents(of: path), path: path)
  }

  package static func parse(_ bytes: [UInt8], path: String) throws(CheckpointFault) -> [Int32] {
    var ids: [Int32] = []
    var value: Int?
    for (offset, byte) in bytes.enumerated() {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        let next = (value ?? 0) * 10 + Int(byte - UInt8(ascii: "0"))
        guard next <= Int(Int32.max) else { throw malformed(path, offset) }
        value = next
      case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"):
        if let id = value { ids.append(Int32(id)) }
        value = nil
      default: throw malformed(path, offset)
      }
    }
    if let id = value { ids.append(Int32(id)) }
    return ids
  }

  private static func malformed(_ path: String, _ offset: Int) -> CheckpointFault {
    CheckpointFault(
      "badTokenFile",
      "\(path) holds something else than a token id at byte \(offset); expected numbers "
        + "separated by white space, or a safetensors file with an I32 tensor `ids`",
      file: path)
  }
}
