import Checkpoints
import TensorCore
import TestSupport
import Testing

/// Files that people find under a safetensors name: the sentence says what they are.
@Suite struct ForeignContentTests {
  static let cases: [(String, [UInt8])] = [
    (
      "Git LFS pointer",
      Array(
        """
        version https://git-lfs.github.com/spec/v1
        oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
        size 3219908024

        """.utf8)
    ),
    ("web page", Array("<!DOCTYPE html>\n<html><body>Access denied</body></html>".utf8)),
    ("web page", Array("\n  <html lang=\"en\"><head>".utf8)),
    ("web page", Array("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>".utf8)),
    ("zip archive", [0x50, 0x4B, 3, 4] + [UInt8](repeating: 7, count: 100)),
    ("pickle", [0x80, 2] + Array("}q\u{0}(X".utf8) + [UInt8](repeating: 9, count: 100)),
    ("GGUF", Array("GGUF".utf8) + [3, 0, 0, 0] + [UInt8](repeating: 0, count: 100)),
    ("JSON text", Array("{\"error\":\"Repository not found\"}".utf8)),
  ]

  @Test(arguments: cases)
  func saysWhatTheFileIs(kind: String, bytes: [UInt8]) throws {
    let directory = try TemporaryDirectory()
    let path = directory.appending("model.safetensors")
    try bytes.write(to: path)
    let fault = try #require(throws: CheckpointFault.self) { try SafetensorsFile(path: path) }
    #expect(fault.code == "checkpoint.foreignContent" || kind == "GGUF", "\(fault.message)")
    #expect(fault.message.contains(kind) || kind == "JSON text", "\(fault.message)")
    #expect(fault.message.contains(path))
    #expect(fault.exitStatus == .badData)
  }

  @Test func missingFileIsNoInput() throws {
    let directory = try TemporaryDirectory()
    let fault = try #require(throws: FileFault.self) {
      try SafetensorsFile(path: directory.appending("absent.safetensors"))
    }
    #expect(fault.exitStatus == .noInput)
    #expect(throws: FileFault.self) { try SafetensorsFile(path: directory.path) }
  }
}
