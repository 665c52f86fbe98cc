import Foundation
import TensorCore
import TestSupport
import Testing

/// docs/three-laptops.md, typed as it stands.
extension EndToEnd {
  @Suite struct WalkThrough {
    struct Step: Equatable {
      let host: String
      let command: String
    }

    /// The lines of a document that are typed at some machine.
    static func steps() throws -> [Step] {
      let path = "\(Places.packageRoot)/docs/three-laptops.md"
      let text = String(decoding: try InputFile.contents(of: path), as: UTF8.self)
      var steps: [Step] = []
      var isConsole = false
      for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
        if line.hasPrefix("```") { isConsole = line == "```console" }
        guard isConsole, let end = line.range(of: "$ ") else { continue }
        steps.append(
          Step(host: String(line[..<end.lowerBound]), command: String(line[end.upperBound...])))
      }
      return steps
    }

    @Test(.enabled(if: ThreeHosts.areHere, ThreeHosts.reasonToSkip))
    func theWalkThroughWorksToTheLetter() throws {
      let hosts = try ThreeHosts()
      let home = hosts.home(of: "laptop-a")
      try FileManager.default.copyItem(
        atPath: Places.fixture("tiny-fable"), toPath: home + "/tiny-fable")
      let steps = try Self.steps()
      #expect(steps.count == 15 && Set(steps.map(\.host)) == Set(ThreeHosts.names))
      var places: [String: String] = [:]
      var nodes: [RunningProgram] = []
      var texts: [String] = []
      var status = ""
      for step in steps {
        let place = places[step.host] ?? ""
        if step.command.hasPrefix("cd ") {
          places[step.host] = place + step.command + " && "
        } else if step.command.hasPrefix("shardrun node ") {
          let node = try hosts.background(step.host, step.command, behind: place)
          let serves = RunningProgram.wait(seconds: 20) {
            node.errors.contains("serves layers") || !node.isRunning
          }
          try #require(serves && node.isRunning, "\(step.host): \(node.errors)")
          #expect(node.errors.contains("encrypted") && !node.errors.contains("not encrypted"))
          nodes.append(node)
        } else {
          let run = try hosts.run(step.host, place + step.command)
          try #require(run.status == 0, "\(step.host)$ \(step.command): \(run.errors)")
          if step.command.hasPrefix("shardrun generate") { texts.append(run.output) }
          if step.command.hasPrefix("shardrun status") { status = run.output }
        }
      }
      #expect(texts.count == 2 && texts.first == texts.last && texts[0].count > 100)
      #expect(status.contains("node-1") && status.contains("node-2"), "\(status)")
      // Each machine has its own part, and the one key, for its owner alone.
      for (host, node) in [("laptop-b", "node-1"), ("laptop-c", "node-2")] {
        let home = hosts.home(of: host)
        #expect(Directory.isFile("\(home)/\(node)/manifest.json"))
        let names = try Directory.names(in: home)
        #expect(names.filter { !$0.hasPrefix(".") } == [node])
        let key = "\(home)/.config/shardtool/cluster.pem"
        let mode = try FileManager.default.attributesOfItem(atPath: key)[.posixPermissions] as? Int
        #expect(mode == 0o600)
      }
      for node in nodes {
        node.send(SIGINT)
        let end = try #require(node.finish(withinSeconds: 4))
        #expect(end.status == 0 && !end.bySignal)
      }
    }

    /// The command line of the systemd unit, with paths of this machine.
    @Test func theServiceUnitStartsANode() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [3, 3])
      let path = "\(Places.packageRoot)/docs/systemd/shardrun@.service"
      let unit = String(decoding: try InputFile.contents(of: path), as: UTF8.self)
      let line = try #require(unit.split(separator: "\n").first { $0.hasPrefix("ExecStart=") })
      let key = models.path("unit.pem")
      try? Directory.remove(key)
      try shardtool(["keygen", "--cluster", key])
      var words = line.dropFirst("ExecStart=".count).split(separator: " ").map(String.init)
      #expect(words.removeFirst() == "/usr/local/bin/shardrun")
      let exchange = [
        "/var/lib/shard/%i": "\(bundle)/nodes/node-1", "0.0.0.0:7001": "0.0.0.0:0",
        "/etc/shardtool/cluster.pem": key,
      ]
      #expect(exchange.keys.allSatisfy { words.contains($0) })
      let node = try RunningProgram("shardrun", words.map { exchange[$0] ?? $0 })
      try #require(
        RunningProgram.wait(seconds: 20) { node.errors.contains("node.listening") },
        "\(node.errors)")
      node.send(SIGTERM)
      let end = try #require(node.finish(withinSeconds: 10))
      #expect(end.status == 0 && !end.bySignal)
    }
  }
}
