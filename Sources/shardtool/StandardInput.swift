import CommandLineSupport
import TensorCore

/// Standard input, whole or line by line, and output collected into larger writes.
enum StandardInput {
  private static let chunkByteCount = 1 << 16

  /// What comes next; nil at the end.
  private static func chunk() throws(FileFault) -> [UInt8]? {
    let bytes = try Console.read(upTo: chunkByteCount)
    return bytes.isEmpty ? nil : bytes
  }

  /// Everything, as text.
  ///
  /// Throws: `FileFault` where it cannot be read, `InputFault` where it is not UTF-8.
  static func text() throws -> String {
    var bytes: [UInt8] = []
    while let chunk = try chunk() { bytes += chunk }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw InputFault("notUTF8", "standard input is not UTF-8 text; convert it first")
    }
    return text
  }

  /// Hands every line to the body, numbered from 1, and prints what it returns as a line.
  static func forEachLine(_ body: ([UInt8], Int) throws -> String) throws {
    var output = ""
    defer { Console.write(output) }
    var line: [UInt8] = []
    var number = 0
    func finish() throws {
      number += 1
      output += try body(line, number) + "\n"
      line.removeAll(keepingCapacity: true)
      if output.utf8.count > chunkByteCount {
        Console.write(output)
        output = ""
      }
    }
    while let chunk = try chunk() {
      var rest = chunk[...]
      while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
        line += rest[..<end]
        try finish()
        rest = rest[(end + 1)...]
      }
      line += rest
    }
    if !line.isEmpty { try finish() }
  }
}

/// Standard input that is not what the command reads.
struct InputFault: Fault {
  let code: String
  let message: String
  let exitStatus = ExitStatus.badData

  init(_ reason: String, _ message: String) {
    code = "input." + reason
    self.message = message
  }
}
