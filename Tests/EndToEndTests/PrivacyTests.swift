import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// What somebody sees who listens on the network between machines, or knocks at a node.
extension EndToEnd {
  @Suite struct Privacy {
    private static let listener = "/usr/bin/tcpdump"
    private static let caller = "/usr/bin/openssl"

    private static let reasonToSkip: Comment? = {
      if let reason = ThreeHosts.reasonToSkip { return reason }
      for tool in [listener, caller] where !FileManager.default.isExecutableFile(atPath: tool) {
        return "no \(tool) here: make deps-test installs what tests need"
      }
      return nil
    }()

    private static let prompt = "Once upon a time there was a fox named Tim"

    /// Two nodes at a port of their hosts.
    private func nodes(
      on hosts: ThreeHosts, port: Int, _ options: String
    ) throws -> [RunningProgram] {
      try [("laptop-b", "node-1"), ("laptop-c", "node-2")].map { host, node in
        let program = try hosts.background(
          host, "shardrun node \(node) --listen 0.0.0.0:\(port) \(options)")
        let serves = RunningProgram.wait(seconds: 20) {
          program.errors.contains("serves layers") || !program.isRunning
        }
        try #require(serves && program.isRunning, "\(host): \(program.errors)")
        return program
      }
    }

    /// What goes over the network while the first machine writes, and what it writes.
    private func listen(
      _ hosts: ThreeHosts, port: Int, _ options: String
    ) throws -> (text: String, bytes: Data) {
      let path = hosts.home(of: "laptop-a") + "/\(port).pcap"
      let tap = try RunningProgram(
        Self.listener,
        [
          "-i", hosts.bridge, "-Z", "root", "-s", "0", "-B", "16384", "-U", "--immediate-mode",
          "-w",
          path,
        ])
      try #require(RunningProgram.wait(seconds: 10) { tap.errors.contains("listening on") })
      let run = try hosts.run(
        "laptop-a",
        "shardrun generate node-0 --peers node-1=laptop-b:\(port),node-2=laptop-c:\(port) "
          + "--prompt '\(Self.prompt)' --max-tokens 40 --ignore-eos \(options)")
      try #require(run.status == 0, "\(run.errors)")
      // It writes each packet as it comes; signals that it could end by may be blocked for it.
      usleep(500_000)
      #expect(tap.isRunning, "\(tap.errors)")
      tap.send(SIGKILL)
      _ = try #require(tap.finish(withinSeconds: 10))
      return (run.output, try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// Pieces of the payload of plain frames of a kind, from an offset on.
    private func pieces(_ bytes: Data, kind: UInt8, offset: Int, count: Int) -> [Data] {
      let mark = Data([0x73, 0x68, 1, kind])
      var found: [Data] = []
      var start = bytes.startIndex
      while let range = bytes.range(of: mark, in: start..<bytes.endIndex) {
        start = range.upperBound
        let first = range.lowerBound + 16 + offset
        let piece = first..<first + count
        if piece.upperBound <= bytes.endIndex { found.append(bytes.subdata(in: piece)) }
      }
      return found
    }

    @Test(.enabled(if: reasonToSkip == nil, reasonToSkip))
    func theNetworkCarriesNothingInPlain() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [2, 2, 2])
      let hosts = try ThreeHosts()
      let key = models.path("privacy.pem")
      try? Directory.remove(key)
      try shardtool(["keygen", "--cluster", key])
      for (host, node) in zip(ThreeHosts.names, ["node-0", "node-1", "node-2"]) {
        let home = hosts.home(of: host)
        try FileManager.default.copyItem(
          atPath: "\(bundle)/nodes/\(node)", toPath: "\(home)/\(node)")
        try FileManager.default.copyItem(atPath: key, toPath: home + "/cluster.pem")
      }
      let open = try nodes(on: hosts, port: 7002, "--insecure")
      let closed = try nodes(on: hosts, port: 7001, "--key cluster.pem")
      let plain = try listen(hosts, port: 7002, "--insecure")
      let secret = try listen(hosts, port: 7001, "--key cluster.pem")
      #expect(plain.text == secret.text && plain.text.count > 60)
      #expect(secret.bytes.count > plain.bytes.count)

      // The same run in plain shows what there is to hide: hidden states of every step, tokens,
      // and what the machines say of themselves.
      let hidden = pieces(plain.bytes, kind: 64, offset: 60, count: 48)
      let tokens = pieces(plain.bytes, kind: 66, offset: 0, count: 9)
      #expect(hidden.count >= 80 && tokens.count >= 40)
      let words = ["hidden_size", "node-1", "laptop-c", "coordinator", "\"bundle\":\""]
      let spoken = words.map { Data($0.utf8) } + hidden + tokens
      for piece in spoken { #expect(plain.bytes.range(of: piece) != nil) }
      let visible = spoken.filter { secret.bytes.range(of: $0) != nil }
      #expect(visible.isEmpty, "\(visible.count) of \(spoken.count) pieces are visible")
      let texts =
        [Self.prompt, "Once upon", "named Tim", "llama"]
        + plain.text.split(separator: " ").filter { $0.count > 5 }.map(String.init)
      for text in texts { #expect(secret.bytes.range(of: Data(text.utf8)) == nil, "\(text)") }
      try knock(hosts, closed)
      for program in open + closed {
        program.send(SIGTERM)
        _ = program.finish(withinSeconds: 4)
      }
    }

    /// `openssl s_client`, without an identity, with a foreign one, with TLS 1.2, and in order.
    private func knock(_ hosts: ThreeHosts, _ nodes: [RunningProgram]) throws {
      try shardtool(["keygen", "--cluster", hosts.home(of: "laptop-a") + "/other.pem"])
      func call(_ options: String) throws -> String {
        let run = try hosts.run(
          "laptop-a",
          "sleep 0.7 | openssl s_client -connect laptop-b:7001 \(options) 2>&1; true")
        return run.output
      }
      for (options, answer, log) in [
        ("", "certificate required", "shows no cluster identity"),
        ("-cert other.pem -key other.pem", "alert", "another cluster identity"),
        ("-tls1_2", "alert protocol version", "no TLS 1.3"),
      ] {
        let text = try call(options)
        #expect(text.contains(answer), "\(options): \(text)")
        #expect(!text.contains("node-1") && !text.contains("hidden"))
        #expect(
          RunningProgram.wait(seconds: 2) { nodes[0].errors.contains(log) }, "\(nodes[0].errors)")
      }
      let welcome = try call("-cert cluster.pem -key cluster.pem")
      #expect(welcome.contains("TLSv1.3") && !welcome.contains("alert certificate"), "\(welcome)")
      #expect(nodes.allSatisfy { $0.isRunning })
    }
  }
}
