import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// Machines that know each other by a key: here they are processes at loopback addresses, which
/// speak TLS because they are told to.
extension EndToEnd {
  @Suite struct Clusters {
    private let place: TemporaryDirectory
    private let key: String

    init() throws {
      place = try TemporaryDirectory()
      key = place.appending("cluster.pem")
      try shardtool(["keygen", "--cluster", key])
    }

    private func node(
      _ directory: String, _ options: [String]
    ) throws -> (program: RunningProgram, address: String) {
      let program = try RunningProgram(
        "shardrun", ["node", ".", "--listen", "127.0.0.1:0", "--json"] + options, in: directory)
      try #require(
        RunningProgram.wait(seconds: 20) { program.output.hasSuffix("\n") || !program.isRunning })
      let json = try JSONParsing().parse(program.output)
      return (program, try #require(json["listen"]?.string, "\(program.errors)"))
    }

    private func run(_ arguments: [String], _ environment: [String: String] = [:]) throws
      -> ProgramRun
    {
      try ProgramRun.run("shardrun", arguments, environment: environment)
    }

    @Test func anEncryptedRunEqualsALocalOne() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [2, 2, 2])
      let nodes = try ["node-1", "node-2"].map {
        try node("\(bundle)/nodes/\($0)", ["--key", key])
      }
      let peers = "node-1=\(nodes[0].address),node-2=\(nodes[1].address)"
      let options = ["--prompt", "Once upon a time", "--max-tokens", "40", "--quiet"]
      let local = try shardrun(["generate", bundle, "--local"] + options)
      for _ in 0..<2 {
        let run = try shardrun(
          ["generate", "\(bundle)/nodes/node-0", "--peers", peers, "--key", key] + options)
        #expect(run.output == local.output && local.output.count > 20)
      }
      let link = try shardrun(["probe", "--peer", nodes[0].address, "--key", key, "--json"])
      #expect(try violations(of: "shardrun.link", JSONParsing().parse(link.output)) == [])

      // Whoever has no key, or another one, hears nothing of the model, and why.
      let stranger = place.appending("stranger.pem")
      try shardtool(["keygen", "--cluster", stranger])
      for (options, words) in [
        ([], "speaks TLS and this one does not"),
        (["--insecure"], "speaks TLS and this one does not"),
        (["--key", stranger], "another cluster identity"),
      ] {
        let refused = try run(
          ["generate", "\(bundle)/nodes/node-0", "--peers", peers, "--prompt", "Once"] + options)
        #expect(refused.status == 77, "\(refused.errors)")
        #expect(refused.errors.contains("node-1") && refused.errors.contains(words))
        let probe = try run(["probe", "--peer", nodes[0].address] + options)
        #expect(probe.status == 77 && probe.errors.contains(words), "\(probe.errors)")
      }
      // And after all of that they still serve.
      _ = try shardrun(
        ["generate", "\(bundle)/nodes/node-0", "--peers", peers, "--key", key] + options)
      #expect(nodes.allSatisfy { $0.program.isRunning })
    }

    @Test func aPlainNodeIsNotSpokenWith() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [3, 3])
      let plain = try node("\(bundle)/nodes/node-1", [])
      let refused = try run([
        "generate", "\(bundle)/nodes/node-0", "--peers", "node-1=\(plain.address)", "--prompt",
        "Once", "--key", key,
      ])
      #expect(refused.status == 77 && refused.errors.contains("does not speak TLS"))
      #expect(
        RunningProgram.wait(seconds: 2) { plain.program.errors.contains("speaks TLS") },
        "\(plain.program.errors)")
    }

    /// Beyond this machine there is no word without an identity, unless somebody types so.
    @Test func otherMachinesNeedAnIdentity() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [3, 3])
      let nowhere = ["XDG_CONFIG_HOME": place.appending("nothing"), "SHARD_TRUST": ""]
      let first = "\(bundle)/nodes/node-0"
      for arguments in [
        ["node", "\(bundle)/nodes/node-1", "--listen", "0.0.0.0:0"],
        ["node", "\(bundle)/nodes/node-1", "--listen", "laptop-b:7001"],
        ["generate", first, "--prompt", "a", "--peers", "node-1=192.0.2.1:7001"],
        ["probe", "--listen", "0.0.0.0:0"], ["probe", "--peer", "192.0.2.1:7001"],
      ] {
        let refused = try run(arguments, nowhere)
        #expect(refused.status == 77, "\(arguments): \(refused.errors)")
        #expect(refused.errors.contains("keygen --cluster"))
        #expect(refused.errors.contains("--insecure") && refused.output.isEmpty)
      }
      // The place where it is looked for.
      let home = place.appending("config")
      let made = try ProgramRun.run(
        "shardtool", ["keygen", "--cluster", "--json"], environment: ["XDG_CONFIG_HOME": home])
      let json = try JSONParsing().parse(made.output)
      #expect(try violations(of: "shardtool.keygen-cluster", json) == [])
      #expect(json["cluster_identity"]?.string == "\(home)/shardtool/cluster.pem")
      let again = try ProgramRun.run(
        "shardtool", ["keygen", "--cluster"], environment: ["XDG_CONFIG_HOME": home])
      #expect(again.status == 73)
      let program = try RunningProgram(
        "shardrun", ["node", "\(bundle)/nodes/node-1", "--listen", "0.0.0.0:0", "--json"],
        environment: ["XDG_CONFIG_HOME": home, "SHARD_TRUST": ""])
      try #require(RunningProgram.wait(seconds: 20) { program.output.hasSuffix("\n") })
      let text = try #require(JSONParsing().parse(program.output)["listen"]?.string)
      let port = try #require(text.split(separator: ":").last)
      let generate = ["generate", first, "--prompt", "a", "--peers", "node-1=127.0.0.1:\(port)"]
      #expect(try run(generate).status == 77)
      _ = try shardrun(generate + ["--key", "\(home)/shardtool/cluster.pem"])
      #expect(program.isRunning)
      // Who types it gets it, with a warning.
      let open = try RunningProgram(
        "shardrun",
        ["node", "\(bundle)/nodes/node-1", "--listen", "0.0.0.0:0", "--json", "--insecure", "-q"],
        environment: ["XDG_CONFIG_HOME": home, "SHARD_TRUST": ""])
      try #require(RunningProgram.wait(seconds: 20) { open.output.hasSuffix("\n") })
      #expect(open.errors.contains("warning: ") && open.errors.contains("--insecure"))
    }

    @Test func optionsThatContradictAreUsageErrors() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [3, 3])
      for arguments in [
        ["node", "\(bundle)/nodes/node-1", "--key", key, "--insecure"],
        ["generate", bundle, "--local", "--key", key, "--prompt", "a"],
        ["generate", bundle, "--local", "--insecure", "--prompt", "a"],
        ["probe", "--key", key],
      ] {
        #expect(try run(arguments).status == 64, "\(arguments)")
      }
      let missing = try run(["node", "\(bundle)/nodes/node-1", "--key", place.appending("none")])
      #expect(missing.status == 66 && missing.errors.contains("none"))
      #expect(unsafe chmod(key, 0o644) == 0)
      let open = try run(["node", "\(bundle)/nodes/node-1", "--key", key])
      #expect(open.status == 77 && open.errors.contains("chmod 600"))
    }
  }
}
