import Checkpoints
import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// GGUF files through the programs: in, planned, packed and run; out again.
extension EndToEnd {
  @Suite struct GGUF {
    let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    private func path(_ name: String) -> String { directory.appending(name) }

    private func bundle(_ file: String, split: String) throws -> String {
      let name = "\(Directory.name(of: file))-\(split)"
      try shardtool(["import", file, "--output", path(name + ".q")])
      let nodes = split.split(separator: ",").count
      try shardtool([
        "plan", path(name + ".q"), "--nodes", "\(nodes)", "--ram", "8G", "--split", split,
        "--output", path(name + ".json"),
      ])
      try shardtool([
        "pack", path(name + ".q"), "--plan", path(name + ".json"), "--output", path(name),
      ])
      return path(name)
    }

    private func generate(_ bundle: String) throws -> [Int] {
      let run = try shardrun([
        "generate", bundle, "--prompt", "Once upon a time there was a", "--max-tokens", "24",
        "--json",
      ])
      return try JSONParsing().parse(run.output)["token_ids"]?.array?.compactMap(\.int) ?? []
    }

    /// 16 bits lose nothing: the ids that the checkpoint itself writes.
    @Test func halvesWriteTheSameText() throws {
      let models = try PreparedModels.shared.get()
      try shardtool([
        "export", PreparedModels.source, "--format", "gguf", "--type", "f16", "--output",
        path("f16.gguf"),
      ])
      let expected = try generate(try models.bundle(bits: 16, split: [6]))
      #expect(expected.count == 24)
      #expect(try generate(try bundle(path("f16.gguf"), split: "6")) == expected)
    }

    @Test(arguments: ["q8_0", "q4_k"])
    func blocksRunTheSameOnOneNodeAndThree(_ type: String) throws {
      try shardtool([
        "export", PreparedModels.source, "--format", "gguf", "--type", type, "--output",
        path("model.gguf"),
      ])
      let one = try bundle(path("model.gguf"), split: "6")
      let three = try bundle(path("model.gguf"), split: "2,2,2")
      let ids = try generate(one)
      #expect(ids.count == 24)
      #expect(try generate(three) == ids)
      // A bundle goes out again as it came in.
      try shardtool([
        "export", three, "--format", "gguf", "--type", "keep", "--output", path("again.gguf"),
      ])
      let before = try GGUFFile(path: path("model.gguf"))
      let after = try GGUFFile(path: path("again.gguf"))
      for (a, b) in zip(before.tensors, after.tensors) {
        #expect(a.name == b.name && a.type == b.type)
        #expect(try before.bytes(of: a, 0..<a.byteCount) == after.bytes(of: b, 0..<b.byteCount))
      }
    }

    @Test func resultsMeetTheirSchemas() throws {
      func json(_ arguments: [String]) throws -> JSONValue {
        let run = try ProgramRun.run("shardtool", arguments + ["--json"])
        try #require(run.status == 0, "\(run.output)")
        return try JSONParsing().parse(run.output)
      }
      let exported = try json([
        "export", PreparedModels.source, "--format", "gguf", "--output", path("a.gguf"),
      ])
      #expect(try violations(of: "shardtool.gguf_export", exported) == [])
      let inspected = try json(["inspect", path("a.gguf")])
      #expect(try violations(of: "shardtool.inspect", inspected) == [])
      #expect(inspected["metadata"]?["general.architecture"]?.string == "llama")
      let imported = try json(["import", path("a.gguf"), "--output", path("a")])
      #expect(try violations(of: "shardtool.weights_import", imported) == [])
      let bytes = try #require(imported["bytes"]?.int)
      #expect(bytes > 2_000_000 && bytes < 3_500_000)
      let text = try ProgramRun.run("shardtool", ["inspect", path("a.gguf")])
      #expect(text.output.contains("GGUF file, version 3") && text.output.contains("blk.0.attn_q"))
    }

    @Test(arguments: [
      ["import", "nothing.gguf"], ["import", "text.gguf"], ["inspect", "text.gguf"],
      ["export", "--format", "gguf", "--type", "q2_k"],
      ["export", "--format", "oci", "--type", "f16"],
      ["export", "--format", "gguf", "--node", "node-0"],
    ])
    func whatIsNoneEndsWithASentence(_ arguments: [String]) throws {
      try Directory.writeAtomically(Array("GGUL".utf8), to: path("text.gguf"))
      let run = try ProgramRun.run("shardtool", arguments, in: directory.path)
      let expected: Int32 = arguments[0] == "export" ? 64 : arguments[1] == "text.gguf" ? 65 : 66
      #expect(run.status == expected, "\(run.errors)")
      #expect(run.errors.split(separator: "\n").count <= 2 && run.errors.count > 20)
    }
  }
}
