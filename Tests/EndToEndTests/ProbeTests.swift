import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// `shardrun probe`: machines and links as `shardtool plan` wants them.
extension EndToEnd {
  @Suite struct Probes {
    @Test func aMachineIsProfiledWithinTwentySeconds() throws {
      let directory = try TemporaryDirectory()
      let file = directory.appending("here.json")
      let start = ContinuousClock.now
      let run = try shardrun([
        "probe", "--name", "here", "--reserve", "1G", "--output", file, "--quiet",
      ])
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      print("shardrun probe took \(Quantity.fixed(seconds, digits: 1)) s")
      #expect(seconds < 20)
      let profile = try JSONParsing().parse(run.output)
      #expect(try violations(of: "shardtool.node", profile) == [])
      #expect(try InputFile.contents(of: file) == Array(run.output.utf8))
      #expect(profile["name"]?.string == "here" && profile["reserve"]?.int == 1 << 30)
      let compute = try #require(profile["compute"])
      for scheme in ["q4", "q8", "f16"] {
        let rate = try #require(compute["weight_rate_by_scheme"]?[scheme]?.double)
        #expect(rate > 1e8 && rate < 1e12, "\(scheme)")
      }
      #expect((compute["operation_rate"]?.double ?? 0) > 1e9)

      // A list may name the file, and the planner takes it.
      let list = directory.appending("nodes.json")
      try Directory.writeAtomically(
        Array("{\"schema\": \"shardtool.nodes/1\", \"nodes\": [\"here.json\"]}".utf8), to: list)
      let models = try PreparedModels.shared.get()
      let plan = try ProgramRun.run(
        "shardtool",
        ["plan", models.path("q4"), "--nodes", list, "--output", directory.appending("p.json")])
      #expect(plan.status == 0 && plan.output.contains("here"), "\(plan.errors)")
    }

    /// A listening probe and its port.
    private func listener() throws -> (program: RunningProgram, port: Int) {
      let program = try RunningProgram(
        "shardrun", ["probe", "--listen", "127.0.0.1:0", "--json"])
      try #require(RunningProgram.wait(seconds: 20) { program.output.hasSuffix("\n") })
      let line = try JSONParsing().parse(program.output)
      #expect(try violations(of: "shardrun.probe", line) == [])
      let port = line["listen"]?.string?.split(separator: ":").last.flatMap { Int($0) }
      return (program, try #require(port))
    }

    private func measure(_ port: Int) throws -> JSONValue {
      let link = try JSONParsing().parse(
        try shardrun(["probe", "--peer", "127.0.0.1:\(port)", "--json"]).output)
      #expect(try violations(of: "shardrun.link", link) == [])
      return link
    }

    @Test func aLinkIsMeasuredOverTheRealTransport() throws {
      let (program, port) = try listener()
      let near = try measure(port)
      let trip = try #require(near["round_trip"]?.int)
      #expect(trip < 20_000_000 && trip <= near["round_trip_p95"]?.int ?? 0)
      #expect((near["rate"]?.double ?? 0) > 1e7)

      let relay = try DelayingRelay(to: port, microseconds: 4000)
      let far = try measure(relay.port)
      let longer = try #require(far["round_trip"]?.int)
      print("round trip \(trip / 1000) us, through a relay of 2 x 4 ms \(longer / 1000) us")
      #expect(longer >= 8_000_000 && longer < 30_000_000)

      let text = try shardrun(["probe", "--peer", "127.0.0.1:\(port)"]).output
      let argument = try #require(text.split(separator: " ").last).trimmingCharacters(
        in: .whitespacesAndNewlines)
      let models = try PreparedModels.shared.get()
      let plan = try ProgramRun.run(
        "shardtool",
        [
          "plan", models.path("q4"), "--nodes", "2", "--ram", "8G", "--link", argument,
          "--output", models.path("linked.json"),
        ])
      #expect(plan.status == 0, "\(argument): \(plan.errors)")
      program.send(SIGTERM)
      #expect(program.finish(withinSeconds: 5)?.status == 0)
    }

    @Test func aNodeAnswersProbesWhileItServesNobody() throws {
      let bundle = try PreparedModels.shared.get().bundle(bits: 4, split: [3, 3])
      let node = try RunningProgram(
        "shardrun",
        ["node", "\(bundle)/nodes/node-1", "--listen", "127.0.0.1:0", "--json", "--quiet"])
      try #require(RunningProgram.wait(seconds: 20) { node.output.hasSuffix("\n") })
      let address = try #require(try JSONParsing().parse(node.output)["listen"]?.string)
      let port = try #require(address.split(separator: ":").last.flatMap { Int($0) })
      for _ in 0..<2 { #expect((try measure(port)["rate"]?.double ?? 0) > 1e7) }
      // Afterwards it serves as before.
      let run = try shardrun([
        "generate", "\(bundle)/nodes/node-0", "--peers", "node-1=\(address)", "--prompt", "Once",
        "--max-tokens", "4", "--quiet",
      ])
      #expect(!run.output.isEmpty)
    }

    @Test func whatIsNoProbeIsNamed() throws {
      let run = try ProgramRun.run("shardrun", ["probe", "--peer", "127.0.0.1:1", "--json"])
      #expect(run.status == 69)
      let error = try JSONParsing().parse(run.output)
      #expect(error["error"]?["message"]?.string?.contains("127.0.0.1:1") == true)
      for arguments in [
        ["--peer", "nowhere"], ["--listen", "a:b"], ["--peer", "a:1", "--listen", "a:2"],
        ["--peer", "a:1", "--output", "x"], ["--listen", "127.0.0.1:0", "--output", "x"],
        ["--peer", "a:1", "--name", "x"], ["--output", ""], ["--name", "-"],
        ["--reserve", "99999G"],
      ] {
        let run = try ProgramRun.run("shardrun", ["probe"] + arguments)
        #expect(run.status == 64, "\(arguments): \(run.errors)")
      }
      // Before anything is measured.
      let lost = try ProgramRun.run("shardrun", ["probe", "--output", "/nonexistent/node.json"])
      #expect(lost.status == 73 && lost.output.isEmpty && !lost.errors.contains("measuring"))
      #expect(lost.errors.contains("there is no directory /nonexistent"), "\(lost.errors)")
    }
  }
}
