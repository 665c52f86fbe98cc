import StrictJSON
import TensorCore

/// Reads a GGUF header from front to back through a small window; no length is believed before it
/// was compared with what is left of the file and with a limit.
struct GGUFCursor {
  let file: InputFile
  private(set) var offset = 0
  private var window: ArraySlice<UInt8> = []

  /// Bytes read at a time.
  private static let windowByteCount = 64 << 10

  init(_ file: InputFile) { self.file = file }

  var path: String { file.path }
  var remaining: Int { file.byteCount - offset }

  func fault(_ reason: String, _ message: String, tensor: String? = nil) -> CheckpointFault {
    CheckpointFault(
      "gguf." + reason, "\(path) is no sound GGUF file: \(message); download or make it again",
      file: path, tensor: tensor)
  }

  /// The next bytes.
  ///
  /// - Parameter what: what they are, for the sentence where the file ends before.
  mutating func bytes(_ count: Int, _ what: @autoclosure () -> String) throws -> ArraySlice<UInt8> {
    guard count <= remaining else {
      throw fault(
        "truncated",
        "\(what()) at byte \(offset) would have \(count) bytes, and \(remaining) are left")
    }
    if window.count < count {
      let ahead = offset + window.count
      let more = min(max(count - window.count, Self.windowByteCount), file.byteCount - ahead)
      window = try ArraySlice(Array(window) + file.bytes(at: ahead, count: more))
    }
    let result = window.prefix(count)
    window = window.dropFirst(count)
    offset += count
    return result
  }

  mutating func unsigned32(_ what: @autoclosure () -> String) throws -> UInt32 {
    try bytes(4, what()).reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  mutating func unsigned64(_ what: @autoclosure () -> String) throws -> UInt64 {
    try bytes(8, what()).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// A count of things that take at least `size` bytes each.
  mutating func count(_ what: String, size: Int, limit: Int) throws -> Int {
    let number = try unsigned64("the number of \(what)")
    guard number <= UInt64(limit), Int(number) <= remaining / size else {
      let signed = Int64(bitPattern: number)
      throw fault(
        "count",
        "it announces \(signed < 0 ? "\(signed)" : "\(number)") \(what), more than its "
          + "\(file.byteCount) bytes can hold or than \(limit)")
    }
    return Int(number)
  }

  /// Text of at most `limit` bytes.
  mutating func string(_ what: @autoclosure () -> String, limit: Int) throws -> String {
    let length = try unsigned64("the length of \(what())")
    guard length <= UInt64(limit) else {
      throw fault(
        "stringLength", "\(what()) at byte \(offset) has \(length) bytes, more than \(limit)")
    }
    guard let text = String(validating: try bytes(Int(length), what()), as: UTF8.self) else {
      throw fault("notText", "\(what()) before byte \(offset) is not UTF-8")
    }
    return text
  }

  mutating func kind(_ what: @autoclosure () -> String) throws -> GGUFValue.Kind {
    let number = try unsigned32("the type of \(what())")
    guard let kind = GGUFValue.Kind(rawValue: number) else {
      throw fault("valueType", "\(what()) has the type \(number), which the format does not have")
    }
    return kind
  }
}
