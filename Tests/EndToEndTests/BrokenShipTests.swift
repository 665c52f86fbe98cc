import Foundation
import ShardPackaging
import StrictJSON
import TensorCore
import TestSupport
import Testing

extension EndToEnd {
  /// Connections that break while a node is being shipped over a real ssh.
  @Suite(.enabled(if: LoopbackShell.isHere, LoopbackShell.reasonToSkip)) struct BrokenShips {
    /// Most bytes that going on may cost beside those that are missing.
    private static let allowance = 4 << 20
    private let shell: LoopbackShell
    private let place: TemporaryDirectory
    private let bundle: String

    /// A bundle of some 40 MB, in chunks of up to 2 MiB.
    init() throws {
      shell = try LoopbackShell()
      place = try TemporaryDirectory()
      bundle = place.appending("bundle")
      let configuration: JSONValue = [
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 1024,
        "intermediate_size": 2048, "num_hidden_layers": 2, "num_attention_heads": 8,
        "num_key_value_heads": 8, "vocab_size": 512, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 10000.0,
        "tie_word_embeddings": false,
      ]
      try Directory.writeAtomically(
        Array(configuration.serialized(.pretty).utf8), to: place.appending("config.json"))
      let plan = place.appending("plan.json")
      for (program, arguments) in [
        (
          "shardbench",
          ["synth", "--config", place.appending("config.json"), "--output", place.appending("c")]
        ),
        (
          "shardtool",
          ["quantize", place.appending("c"), "--bits", "16", "--output", place.appending("q")]
        ),
        (
          "shardtool",
          ["plan", place.appending("q"), "--nodes", "1", "--ram", "8G", "--output", plan]
        ),
        ("shardtool", ["pack", place.appending("q"), "--plan", plan, "--output", bundle]),
      ] {
        let run = try ProgramRun.run(program, arguments + ["--quiet"])
        try #require(run.status == 0, "\(program) \(arguments): \(run.errors)")
      }
    }

    private func arguments(_ name: String, _ more: [String]) -> [String] {
      ["ship", bundle, "--node", "node-0", "\(shell.destination):\(place.appending(name))"]
        + shell.options() + more + ["--json"]
    }

    private func blobDirectory(_ name: String) -> String {
      place.appending(".\(name).partial/blobs/sha256")
    }

    /// Bytes in staging so far.
    private func staged(_ name: String) -> Int {
      let names = (try? Directory.names(in: blobDirectory(name))) ?? []
      return names.reduce(0) { sum, file in
        let facts = try? FileManager.default.attributesOfItem(
          atPath: "\(blobDirectory(name))/\(file)")
        return sum + ((facts?[.size] as? NSNumber)?.intValue ?? 0)
      }
    }

    /// The bytes of all chunks of the node, and of those that staging lacks, found out chunk by
    /// chunk without the code under test.
    private func count(_ name: String) throws -> (all: Int, missing: Int) {
      let path = "\(bundle)/manifest.json"
      let manifest = try Manifest(file: InputFile.contents(of: path), path: path)
      var all = 0
      var missing = 0
      let sets = [manifest.modelFiles, manifest.planFiles].map { set in
        (set.blob, set.files.flatMap(\.chunks))
      }
      let components = manifest.components.map { entry in
        (entry.blob, entry.tensors.flatMap(\.planes).flatMap { $0 })
      }
      for (blob, chunks) in sets + components {
        let file = "\(blobDirectory(name))/\(blob.digest.hexadecimal)"
        let bytes =
          try [file, file + ".partial"].first(where: Directory.isFile).map {
            try InputFile.contents(of: $0)
          } ?? []
        var offset = 0
        for chunk in chunks {
          let end = offset + chunk.storedByteCount
          let isThere =
            end <= bytes.count
            && Digest(of: Array(bytes[offset..<end]))
              == chunk.storedDigest
          if !isThere { missing += chunk.storedByteCount }
          all += chunk.storedByteCount
          offset = end
        }
      }
      return (all, missing)
    }

    /// Waits until the receiver of a broken connection has gone.
    private func waitForReceiver(_ name: String) {
      _ = RunningProgram.wait(seconds: 40) {
        !RunningProgram.isRunning(with: ["receive", place.appending(name)])
      }
    }

    /// Kills the client, or the server's side of the session.
    private func cut(_ program: RunningProgram, clientSide: Bool) throws {
      let server = try #require(shell.identifier)
      let sides = RunningProgram.children(of: clientSide ? program.identifier : server)
      for process in sides {
        for child in RunningProgram.children(of: process) { kill(child, SIGKILL) }
        kill(process, SIGKILL)
      }
    }

    @Test func goingOnSendsWhatIsMissing() throws {
      let trials = ProcessInfo.processInfo.environment["SHARD_TRIALS"].flatMap { Int($0) } ?? 10
      let seed = UInt64(Date().timeIntervalSince1970 * 1000)
      var generator = SeededGenerator(seed: seed)
      let total = try count("nothing").all
      var worst = Int.min
      var broken = 0
      for trial in 0..<trials {
        let name = "broken-\(trial)"
        let moment = Int(generator.next() % UInt64(total * 9 / 10))
        let program = try RunningProgram("shardtool", arguments(name, ["--retries", "0"]))
        _ = RunningProgram.wait(seconds: 30) { staged(name) >= moment || !program.isRunning }
        try cut(program, clientSide: trial % 2 == 0)
        let end = try #require(program.finish(withinSeconds: 60))
        waitForReceiver(name)
        if end.status != 0 {
          broken += 1
          #expect(end.status == 75, "\(program.output) \(program.errors)")
          #expect(program.output.contains("connection"), "\(program.output)")
          #expect(!Directory.exists(place.appending(name)))
        }
        let missing = end.status == 0 ? 0 : try count(name).missing
        let run = try ProgramRun.run("shardtool", arguments(name, []))
        #expect(run.status == 0, "\(run.errors) \(run.output)")
        let entry = try JSONParsing().parse(run.output)["targets"]?.array?.first
        let sent = try #require(entry?["sent_bytes"]?.int)
        worst = max(worst, sent - missing)
        #expect(entry?["received_bytes"]?.int == missing, "trial \(trial), seed \(seed)")
        #expect(sent <= missing + Self.allowance, "trial \(trial), seed \(seed)")
        #expect(try tree(place.appending(name)) == tree("\(bundle)/nodes/node-0"))
        try Directory.remove(place.appending(name))
      }
      #expect(broken >= trials / 2, "only \(broken) of \(trials) connections broke in time")
      print(
        "broke \(broken) of \(trials) ships of \(total) bytes; going on sent at most \(worst) "
          + "bytes more than were missing, seed \(seed)")
    }

    @Test func aBrokenConnectionIsMadeAgain() throws {
      let total = try count("nothing").all
      let name = "retried"
      let program = try RunningProgram("shardtool", arguments(name, []))
      for share in [4, 2] {
        _ = RunningProgram.wait(seconds: 60) {
          staged(name) >= total / share || !program.isRunning
        }
        try cut(program, clientSide: share == 4)
      }
      let end = try #require(program.finish(withinSeconds: 120))
      #expect(end.status == 0, "\(program.errors) \(program.output)")
      #expect(program.errors.contains("the next try comes in"))
      let entry = try JSONParsing().parse(program.output)["targets"]?.array?.first
      #expect((entry?["interruptions"]?.int ?? 0) >= 1)
      #expect(try tree(place.appending(name)) == tree("\(bundle)/nodes/node-0"))
    }
  }
}
