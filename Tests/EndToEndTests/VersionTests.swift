import Foundation
import ShardPackaging
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// What earlier versions of the programs have written, and whose codes meant other values.
extension EndToEnd {
  @Suite struct Versions {
    private func check(
      _ program: String, _ arguments: [String], _ place: String, reads version: Int = 2
    ) throws {
      let run = try ProgramRun.run(program, arguments + ["--json"])
      let error = try #require(try JSONParsing().parse(run.output)["error"], "\(run.output)")
      let message = try #require(error["message"]?.string)
      #expect(run.status == 65, "\(program) \(arguments): \(message)")
      #expect(
        message.contains("in version 1 of the format, this program reads version \(version)"),
        "\(message)")
      #expect(message.contains(place) && message.contains("quantize"), "\(message)")
    }

    @Test func oldQuantizedCheckpointsAreRefused() throws {
      let models = try PreparedModels.shared.get()
      let plan = try models.bundle(bits: 4, split: [6]) + ".plan.json"
      let old = try models.copy(of: models.path("q4"), name: "q4-old")
      let path = old + "/config.json"
      var configuration = try #require(
        try JSONParsing().parse(try InputFile.contents(of: path)).object)
      var record = try #require(configuration["quantization_config"]?.object)
      #expect(record["version"] == 2)
      record["version"] = 1
      configuration["quantization_config"] = .object(record)
      try Directory.writeAtomically(
        Array(JSONValue.object(configuration).serialized(.pretty).utf8), to: path)
      let output = models.path("nothing")
      try check(
        "shardtool", ["plan", old, "--nodes", "1", "--ram", "8G", "--output", output], path)
      try check("shardtool", ["pack", old, "--plan", plan, "--output", output], path)
      try check("shardtool", ["inspect", old], path)
      #expect(!Directory.exists(output) && !Directory.isFile(output))
    }

    @Test func oldBundlesAreRefused() throws {
      let models = try PreparedModels.shared.get()
      let new = try models.bundle(bits: 4, split: [6])
      let old = try models.copy(of: new, name: "bundle-old")
      let path = old + "/manifest.json"
      let sealed = String(decoding: try InputFile.contents(of: path), as: UTF8.self)
      let start = try #require(sealed.range(of: "\"manifest\":")).upperBound
      let inner = sealed[start...].dropLast(2).replacingOccurrences(
        of: "shardtool.bundle/3", with: "shardtool.bundle/1")
      let digest = Digest(of: Array(inner.utf8))
      try Directory.writeAtomically(
        Array("{\"digest\":\"\(digest)\",\"manifest\":\(inner)}\n".utf8), to: path)
      try check("shardtool", ["verify", old], path, reads: 3)
      try check("shardtool", ["inspect", old], path, reads: 3)
      try check("shardrun", ["verify", old], path, reads: 3)
      try check("shardrun", ["generate", old, "--prompt", "Once"], path, reads: 3)
      // It is in the way of no new one.
      let pack = try ProgramRun.run(
        "shardtool",
        ["pack", models.path("q4"), "--plan", new + ".plan.json", "--output", old, "--quiet"])
      #expect(pack.status == 0, "\(pack.errors)")
      #expect(try ProgramRun.run("shardtool", ["verify", old]).status == 0)
    }
  }
}
