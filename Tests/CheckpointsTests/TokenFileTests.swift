import Checkpoints
import TensorCore
import TestSupport
import Testing

@Suite struct TokenFileTests {
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func file(_ text: String) throws -> String {
    let path = directory.appending("ids")
    try Directory.writeAtomically(Array(text.utf8), to: path)
    return path
  }

  @Test func readsNumbersBetweenWhiteSpace() throws {
    #expect(try TokenFile.read(try file("1 22\t333\r\n\n 0")) == [1, 22, 333, 0])
    #expect(try TokenFile.read(try file("7")) == [7])
    #expect(try TokenFile.read(try file("")) == [])
    #expect(try TokenFile.read(try file(" \n")) == [])
    #expect(try TokenFile.read(try file("2147483647\n")) == [Int32.max])
  }

  @Test func readsASafetensorsFile() throws {
    let path = directory.appending("ids.safetensors")
    let writer = try SafetensorsWriter(path: path, tensors: [("ids", .i32, [3])])
    try writer.write("ids", [1, 0, 0, 0, 0, 2, 0, 0, 255, 255, 0, 0])
    try writer.finish()
    #expect(try TokenFile.read(path) == [1, 512, 65535])
  }

  @Test(arguments: [
    ("1,2", 1), ("1 -2", 2), ("x", 0), ("2147483648", 9), ("99999999999999999999999", 9),
    ("1 2\u{0}", 3),
  ])
  func namesTheFirstBadByte(text: String, offset: Int) throws {
    let path = try file(text)
    #expect(
      performing: { try TokenFile.read(path) },
      throws: { error in
        let fault = error as? CheckpointFault
        return fault?.code == "checkpoint.badTokenFile" && fault?.context["file"] == path
          && fault?.message.contains("at byte \(offset);") == true && fault?.exitStatus == .badData
      })
  }

  @Test func namesWhatASafetensorsFileLacks() throws {
    let path = directory.appending("other.safetensors")
    let writer = try SafetensorsWriter(path: path, tensors: [("x", .i32, [1])])
    try writer.write("x", [1, 0, 0, 0])
    try writer.finish()
    #expect(throws: CheckpointFault.self) { try TokenFile.read(path) }
  }
}
