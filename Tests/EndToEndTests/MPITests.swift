import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// `--mpi` under the real `mpirun`, with all ranks on this machine.
extension EndToEnd {
  @Suite(.enabled(if: MPIRun.obstacle == nil, "\(MPIRun.obstacle ?? "")"))
  struct MPI {
    static let prompt = ["--prompt", "Once upon a time", "--max-tokens", "40"]

    @Test(arguments: [[3, 3], [2, 2, 2], [2, 1, 2, 1]])
    func ranksSayWhatOneProcessSays(split: [Int]) throws {
      let models = try PreparedModels.shared.get()
      for sampling in [[], ["--temperature", "0.9", "--top-p", "0.95", "--seed", "11"]] {
        let options = Self.prompt + sampling + ["--json", "--quiet"]
        var results: [JSONValue] = []
        let alone = try models.bundle(bits: 4, split: [6])
        let bundle = try models.bundle(bits: 4, split: split)
        for run in [
          try shardrun(["generate", alone] + options),
          try shardrun(["generate", bundle, "--local"] + options),
          try MPIRun.run(split.count, ["generate", bundle, "--mpi"] + options),
        ] {
          #expect(run.status == 0, "\(run.errors)")
          let json = try JSONParsing().parse(run.output)
          results.append(["ids": json["token_ids"] ?? .null, "text": json["text"] ?? .null])
        }
        #expect(results.allSatisfy { $0 == results[0] }, "\(results)")
        #expect((results[0]["ids"]?.array?.count ?? 0) > 5)
      }
    }

    @Test func logitsAreTheSameToTheBit() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 16, split: [2, 2, 2])
      let files = ["--local", "--mpi"].map { models.path("logits\($0).safetensors") }
      let words = [
        "--token-ids", Splits.ids, "--prefill-chunk", "7", "--quiet", "--logits",
      ]
      _ = try shardrun(["score", bundle, "--local"] + words + [files[0]])
      let run = try MPIRun.run(3, ["score", bundle, "--mpi"] + words + [files[1]])
      #expect(run.status == 0, "\(run.errors)")
      let found = try InputFile.contents(of: files[1])
      #expect(try found == InputFile.contents(of: files[0]) && found.count > 16 * 1024 * 4)
    }

    @Test(arguments: [1, 2, 4]) func wrongNumberOfProcesses(count: Int) throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [2, 2, 2])
      let run = try MPIRun.run(count, ["generate", bundle, "--mpi"] + Self.prompt)
      let processes = count == 1 ? "1 process" : "\(count) processes"
      let sentence =
        "this job has \(processes) but the plan has 3 nodes; start it with mpirun -np 3"
      #expect(run.status == 64, "\(run)")
      #expect(run.errors.components(separatedBy: sentence).count == 2, "\(run.errors)")
      #expect(run.output.isEmpty)
    }

    @Test func withoutMpirunItIsAJobOfOne() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [2, 2, 2])
      let run = try ProgramRun.run("shardrun", ["generate", bundle, "--mpi"] + Self.prompt)
      #expect(run.status == 64 && run.errors.contains("mpirun -np 3"), "\(run)")
      let alone = try models.bundle(bits: 4, split: [6])
      _ = try shardrun(["generate", alone, "--mpi"] + Self.prompt)
    }

    @Test func everyHostHoldsItsOwnPartOnly() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [3, 3])
      let expected = try shardrun(["generate", bundle, "--quiet"] + Self.prompt).output
      let parts = ["node-0", "node-1"].map {
        ["generate", "\(bundle)/nodes/\($0)", "--mpi", "--quiet"] + Self.prompt
      }
      let run = try MPIRun.run(parts)
      #expect(run.status == 0 && run.output == expected, "\(run)")

      let swapped = try MPIRun.run([parts[0], parts[0]])
      #expect(swapped.status == 64 && swapped.output.isEmpty, "\(swapped)")
      #expect(swapped.errors.contains("is the part of node-0, but rank 1 is node-1"))
    }

    @Test func aRankThatCannotLoadSaysWhyOnce() throws {
      let models = try PreparedModels.shared.get()
      let good = try models.bundle(bits: 4, split: [2, 2, 2])
      let run = try MPIRun.run(
        [good, good, models.path("nowhere")].map { ["generate", $0, "--mpi"] + Self.prompt })
      #expect(run.status == 66 && run.output.isEmpty, "\(run)")
      #expect(run.errors.components(separatedBy: "rank 2: ").count == 2, "\(run.errors)")
    }

    /// A generation of three ranks that has begun to print; slow on purpose.
    private func started() throws -> RunningProgram {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 16, split: [2, 2, 2])
      let words = [
        "generate", bundle, "--mpi", "--prompt", "Once upon a time", "--max-tokens", "500",
        "--ignore-eos", "--threads", "1",
      ]
      let program = try RunningProgram(
        MPIRun.program, MPIRun.arguments([[String]](repeating: words, count: 3)),
        environment: ["SHARD_ISA": "reference"])
      try #require(
        RunningProgram.wait(seconds: 20) { program.output.count > 20 || !program.isRunning },
        "\(program.errors)")
      try #require(program.isRunning, "\(program.errors)")
      return program
    }

    @Test(arguments: [(1, SIGKILL), (0, SIGKILL), (2, SIGSTOP)])
    func aLostRankEndsTheJob(rank: Int, signal: Int32) throws {
      let program = try started()
      let ranks = program.children
      try #require(ranks.count == 3)
      kill(ranks[rank], signal)
      let end = try #require(program.finish(withinSeconds: 15))
      #expect(end.status != 0, "\(program.errors)")
      if signal == SIGSTOP { #expect(program.errors.contains("node-2"), "\(program.errors)") }
      #expect(RunningProgram.wait(seconds: 3) { !ranks.contains(where: RunningProgram.exists) })
    }

    @Test func aSignalEndsAllRanks() throws {
      let program = try started()
      let ranks = program.children
      program.send(SIGTERM)
      _ = try #require(program.finish(withinSeconds: 25))
      #expect(RunningProgram.wait(seconds: 3) { !ranks.contains(where: RunningProgram.exists) })
    }
  }
}

/// `mpirun` on this machine.
enum MPIRun {
  static let program = "/usr/bin/mpirun"

  /// Why nothing can be tested; nil where it can.
  static let obstacle: String? = {
    guard FileManager.default.isExecutableFile(atPath: program) else {
      return "needs mpirun: make deps installs Open MPI"
    }
    let run = try? ProgramRun.run("shardrun", ["generate", "/nowhere", "--mpi", "--prompt", "x"])
    return run?.errors.contains("built without MPI") == true ? "built without MPI" : nil
  }()

  /// Starts a rank with each of the lists of words.
  static func arguments(_ ranks: [[String]]) -> [String] {
    var arguments = ["--oversubscribe", "--bind-to", "none"]
    if getuid() == 0 { arguments.append("--allow-run-as-root") }
    for (index, words) in ranks.enumerated() {
      arguments += (index == 0 ? [] : [":"]) + ["-np", "1", "\(Places.programs)/shardrun"] + words
    }
    return arguments
  }

  static func run(_ ranks: [[String]]) throws -> ProgramRun {
    try ProgramRun.run(program, arguments(ranks))
  }

  static func run(_ count: Int, _ words: [String]) throws -> ProgramRun {
    try run([[String]](repeating: words, count: count))
  }
}
