import Checkpoints
import TensorCore
import TestSupport
import Testing

/// A safetensors file put together by hand, so that any part of it can be wrong.
struct RawSafetensors: Sendable, CustomTestStringConvertible {
  /// What the case is called in the test's output.
  var name = "sound"
  /// The members of the header, as JSON text.
  var members = [
    #""a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}"#,
    #""b":{"dtype":"F32","shape":[4],"data_offsets":[12,28]}"#,
    #""c":{"dtype":"BF16","shape":[2],"data_offsets":[28,32]}"#,
  ]
  /// Replaces the header's text where it is no object of members.
  var text: [UInt8]?
  /// Added to what the length field says.
  var lengthError: Int = 0
  /// Replaces the length field.
  var lengthField: UInt64?
  var data = [UInt8](0..<32)

  var testDescription: String { name }

  var header: [UInt8] { text ?? Array("{\(members.joined(separator: ","))}".utf8) }

  var bytes: [UInt8] {
    let length = lengthField ?? UInt64(header.count + lengthError)
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + header + data
  }

  /// A case of its own: a change of the sound file.
  static func named(_ name: String, _ change: (inout RawSafetensors) -> Void) -> RawSafetensors {
    var raw = RawSafetensors()
    raw.name = name
    change(&raw)
    return raw
  }

  /// The sound file with one member more, whose data (if any) are appended.
  static func with(_ name: String, _ member: String, data: Int = 0) -> RawSafetensors {
    named(name) { raw in
      raw.members.append(member)
      raw.data += [UInt8](repeating: 0, count: data)
    }
  }

  /// The sound file with tensor `b` described otherwise.
  static func b(_ name: String, _ description: String) -> RawSafetensors {
    named(name) { $0.members[1] = "\"b\":\(description)" }
  }

  /// Opens the file from a temporary directory.
  func open() throws -> SafetensorsFile {
    let directory = try TemporaryDirectory()
    let path = directory.appending("model.safetensors")
    try bytes.write(to: path)
    return try SafetensorsFile(path: path)
  }
}

extension [UInt8] {
  /// Writes a file without ceremony.
  func write(to path: String) throws {
    try Directory.create(Directory.parent(of: path))
    let file = try OutputFile(path: path)
    try file.write(self, at: 0)
  }
}

extension String {
  func write(to path: String) throws { try Array(utf8).write(to: path) }
}
