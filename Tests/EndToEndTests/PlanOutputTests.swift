import Foundation
import ShardPlanning
import StrictJSON
import TensorCore
import TestSupport
import Testing

extension EndToEnd {
  /// What `plan` writes, and what it leaves alone.
  @Suite struct PlanOutputs {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func plan(_ outputs: [String]) throws -> ProgramRun {
      let models = try PreparedModels.shared.get()
      return try ProgramRun.run(
        "shardtool", ["plan", models.path("q4"), "--nodes", "2", "--ram", "8G"] + outputs)
    }

    private func path(_ name: String) -> String { directory.appending(name) }

    private func write(_ text: String, to name: String) throws {
      try Directory.writeAtomically(Array(text.utf8), to: path(name))
    }

    @Test func eachFileReplacesItsOwnKind() throws {
      let outputs = [
        "--output", path("plan.json"), "--write-nodes", path("nodes.json"), "--svg",
        path("plan.svg"),
      ]
      for _ in 0..<2 {
        let run = try plan(outputs)
        #expect(run.status == 0, "\(run.errors)")
      }
      #expect(try Directory.names(in: directory.path) == ["nodes.json", "plan.json", "plan.svg"])
      _ = try Cluster.read(from: path("nodes.json"))
    }

    @Test func otherFilesStayAndNothingIsWritten() throws {
      let picture = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\">\n<g/>\n</svg>\n"
      let node = "{\"schema\": \"shardtool.node/1\"}"
      let cases: [(option: String, name: String, text: String)] = [
        ("--svg", "a.svg", picture), ("--svg", "notes.txt", "mine"), ("--svg", "empty", ""),
        ("--write-nodes", "node.json", node), ("--write-nodes", "notes.txt", "mine"),
        ("--output", "node.json", node),
      ]
      for (option, name, text) in cases {
        try write(text, to: name)
        let output = option == "--output" ? [] : ["--output", path("plan.json")]
        let run = try plan(output + [option, path(name)])
        #expect(run.status == 73 && run.errors.contains(path(name)), "\(run.errors)")
        #expect(run.errors.contains("give another \(option)"), "\(run.errors)")
        #expect(try InputFile.contents(of: path(name)) == Array(text.utf8))
        #expect(!Directory.isFile(path("plan.json")))
      }
    }

    @Test func pathsThatCannotBeWrittenAreToldFirst() throws {
      try Directory.create(path("folder"))
      let (plan, svg, nodes) = (path("plan.json"), path("plan.svg"), path("nodes.json"))
      let cases: [(outputs: [String], status: Int32, words: String)] = [
        (["--output", plan, "--svg", plan], 64, "--output and --svg both name"),
        (
          ["--output", plan, "--write-nodes", nodes, "--svg", path("folder/../nodes.json")], 64,
          "--write-nodes and --svg both name"
        ),
        (["--output", ""], 64, "--output takes the path of a file"),
        (["--output", plan, "--svg", ""], 64, "--svg takes the path of a file"),
        (["--output", plan, "--svg", path("lost/plan.svg")], 73, "there is no directory"),
        (["--output", plan, "--svg", path("folder")], 73, "folder is a directory"),
        (["--output", plan, "--svg", svg, "--write-nodes", path("folder")], 73, "is a directory"),
      ]
      for (outputs, status, words) in cases {
        let run = try self.plan(outputs)
        #expect(run.status == status && run.errors.contains(words), "\(run.errors)")
        #expect(run.output.isEmpty)
        #expect(try Directory.names(in: directory.path) == ["folder"])
      }
      // Directories that the plan brings with it are there for its picture too.
      let new = try self.plan([
        "--output", path("new/plan.json"), "--svg", path("new/plan.svg"),
      ])
      #expect(new.status == 0 && Directory.isFile(path("new/plan.svg")), "\(new.errors)")
    }
  }
}
