import StrictJSON
import TensorCore
import TestSupport
import Testing

/// `shardtool prepare`: what quantize, plan and pack do one after the other, or nothing at all.
extension EndToEnd {
  @Suite struct Prepare {
    private let directory: TemporaryDirectory
    private let output: String

    init() throws {
      directory = try TemporaryDirectory()
      output = directory.appending("a/b")
    }

    private func prepare(_ checkpoint: String, _ options: [String]) throws -> ProgramRun {
      try ProgramRun.run(
        "shardtool", ["prepare", checkpoint, "--output", output, "--quiet"] + options)
    }

    @Test func givesThePlanOfThePlanner() throws {
      let options = ["--nodes", "3", "--ram", "8G"]
      let run = try prepare(PreparedModels.source, options)
      #expect(run.status == 0, "\(run.errors)")
      let other = directory.appending("plan.json")
      let planned = try ProgramRun.run(
        "shardtool", ["plan", "\(output)/quantized", "--output", other, "--quiet"] + options)
      #expect(planned.status == 0, "\(planned.errors)")
      #expect(
        try InputFile.contents(of: other) == InputFile.contents(of: "\(output)/plan.json"))
      let verified = try ProgramRun.run("shardtool", ["verify", "\(output)/bundles"])
      #expect(verified.status == 0, "\(verified.errors)")
    }

    /// Weights that are no numbers would be met while quantizing: what comes first is told.
    @Test(
      arguments: [
        (["--nodes", "3", "--ram", "8G", "--context", "100000"], 64, "context of 100000"),
        (["--nodes", "7", "--ram", "8G"], 64, "7 nodes cannot share 6 layers"),
        (["--nodes", "3", "--ram", "8G", "--threads", "0"], 64, "threads 0"),
        (["--nodes", "3", "--ram", "8G", "--split", "1,2"], 64, "1,2"),
        (["--nodes", "2", "--ram", "40M", "--reserve", "0"], 78, "lacks"),
        (["--nodes", "3", "--ram", "8G"], 65, "lm_head.weight"),
      ] as [([String], Int32, String)])
    func plansFirst(options: [String], status: Int32, words: String) throws {
      let checkpoint = directory.appending("checkpoint")
      try Directory.create(checkpoint)
      for name in ["config.json", "model.safetensors"] {
        var bytes = try InputFile.contents(of: "\(PreparedModels.source)/\(name)")
        if name == "model.safetensors" {
          // A half-precision NaN in the head.
          let header = 8 + bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
          let offset = try #require(
            try JSONParsing().parse(Array(bytes[8..<header]))["lm_head.weight"]?["data_offsets"]?
              .array?.first?.int)
          bytes[header + offset] = 0
          bytes[header + offset + 1] = 0x7E
        }
        try Directory.writeAtomically(bytes, to: "\(checkpoint)/\(name)")
      }
      let run = try prepare(checkpoint, options)
      #expect(run.status == status && run.errors.contains(words), "\(run.errors)")
      #expect(run.errors.hasPrefix("error: ") && run.output.isEmpty, "\(run.errors)")
      #expect(try Directory.names(in: directory.path) == ["checkpoint"])
    }
  }
}
