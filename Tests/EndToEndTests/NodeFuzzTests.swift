import Foundation
import ShardTransport
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// A running node that hears all kinds of wrong: it closes with a reason, serves the next peer, and
/// takes no more memory. `make fuzz-node` does it for as long as one likes.
extension EndToEnd {
  @Suite struct NodeFuzz {
    private static let minutes = ProcessInfo.processInfo.environment["SHARD_FUZZ_MINUTES"].flatMap {
      Double($0)
    }
    private static let rounds = 250
    /// What a node may take more in the second half of them, for what the allocator keeps.
    private static let growth = 6 << 20

    private struct Node {
      let program: RunningProgram
      let port: Int
      let bundleID: String

      init(_ bundle: String, _ options: [String]) throws {
        program = try RunningProgram(
          "shardrun",
          ["node", "\(bundle)/nodes/node-1", "--listen", "127.0.0.1:0", "--json", "--json-log"]
            + options)
        let program = program
        try #require(RunningProgram.wait(seconds: 20) { program.output.hasSuffix("\n") })
        let json = try JSONParsing().parse(program.output)
        bundleID = try #require(json["bundle"]?.string)
        port = try HostPort(#require(json["listen"]?.string)).port
      }

      /// Bytes that the process has resident.
      var resident: Int {
        let path = "/proc/\(program.identifier)/statm"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * Int(getpagesize())
      }
    }

    private func expectServing(_ node: Node, _ bundle: String, _ options: [String]) throws {
      let run = try shardrun(
        [
          "generate", "\(bundle)/nodes/node-0", "--peers", "node-1=127.0.0.1:\(node.port)",
          "--prompt", "Once upon a time", "--max-tokens", "8", "--quiet",
        ] + options)
      #expect(run.output.count > 8)
    }

    /// Frames as raw bytes to a node without encryption.
    @Test func plainNodesSurviveNoise() throws {
      let bundle = try PreparedModels.shared.get().bundle(bits: 4, split: [3, 3])
      let node = try Node(bundle, [])
      try fuzz(node, seed: 70) { bytes in
        guard let peer = RawSocket(port: node.port) else { return nil }
        peer.send(bytes)
        peer.finishSending()
        return peer.readToEnd()
      }
      try expectServing(node, bundle, [])
      try expectReasons(node)
    }

    /// The same behind a handshake that `openssl` makes with the right identity, and without one.
    @Test(.enabled(if: TLSCaller.isHere, "no openssl program here"))
    func encryptedNodesSurviveNoise() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [3, 3])
      let key = models.path("fuzz.pem")
      try? Directory.remove(key)
      try shardtool(["keygen", "--cluster", key])
      let node = try Node(bundle, ["--key", key])
      var turn = 0
      try fuzz(node, seed: 71, rounds: Self.rounds / 3) { bytes in
        turn += 1
        // Every other time a stranger knocks, sometimes with what looks like TLS.
        if turn % 2 == 0 {
          guard let peer = RawSocket(port: node.port) else { return nil }
          let length = bytes.count & 0x3FFF
          let head: [UInt8] = [0x16, 3, 1, UInt8(length >> 8), UInt8(length & 255)]
          peer.send((turn % 4 == 0 ? head : []) + bytes)
          peer.finishSending()
          return peer.readToEnd()
        }
        return try TLSCaller.call(port: node.port, key: key, bytes)
      }
      try expectServing(node, bundle, ["--key", key])
      try expectReasons(node)
    }

    /// - Parameter say: sends bytes on a connection of their own and returns what came back before
    ///   the node closed; nil where it did not.
    private func fuzz(
      _ node: Node, seed: UInt64, rounds: Int = rounds, _ say: ([UInt8]) throws -> [UInt8]?
    ) throws {
      let seed = Self.minutes == nil ? seed : UInt64.random(in: .min ... .max)
      print("noise to a node: seed \(seed)")
      var noise = FrameNoise(seed: seed, bundleID: node.bundleID, hiddenSize: 192)
      let end = Date().addingTimeInterval((Self.minutes ?? 0) * 60)
      let middle = Date().addingTimeInterval((Self.minutes ?? 0) * 30)
      var settled = 0
      var round = 0
      while Self.minutes == nil ? round < rounds : Date() < end {
        let bytes = noise.next()
        let answer = try say(bytes)
        try #require(answer != nil, "seed \(seed), round \(round): not closed")
        try #require(node.program.isRunning, "seed \(seed), round \(round): the node has ended")
        round += 1
        // Buffers and the allocator's arenas fill at first; from the middle on nothing is to grow.
        let isMiddle = Self.minutes == nil ? round == rounds / 2 : Date() >= middle && settled == 0
        if isMiddle { settled = node.resident }
      }
      let grown = node.resident - settled
      print("\(round) conversations, grown by \(Quantity.describe(bytes: max(0, grown)))")
      #expect(grown < Self.growth, "grown by \(grown) bytes since the middle")
    }

    /// Most of the connections ended for a reason that the log names, of many kinds.
    private func expectReasons(_ node: Node) throws {
      let lines = node.program.errors.split(separator: "\n")
      var codes: Set<String> = []
      for line in lines {
        let event = try JSONParsing().parse(String(line))
        if let code = event["code"]?.string { codes.insert(code) }
      }
      #expect(codes.count >= 6, "\(codes.sorted())")
    }
  }
}

/// `openssl s_client` with an identity, through which bytes reach a node.
enum TLSCaller {
  private static let program = "/usr/bin/openssl"
  static let isHere = FileManager.default.isExecutableFile(atPath: program)

  /// Sends bytes and reads until the node closes; nil where that takes more than 6 s.
  static func call(port: Int, key: String, _ bytes: [UInt8]) throws -> [UInt8]? {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    // At the end of its input it ends its side; what the node says comes meanwhile.
    process.arguments = [
      "-c",
      "(cat; sleep 0.05) | timeout 6 \(program) s_client -connect 127.0.0.1:\(port) -quiet "
        + "-no_ign_eof -cert \(key) -key \(key) 2>/dev/null",
    ]
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    try? input.fileHandleForWriting.write(contentsOf: Data(bytes))
    try? input.fileHandleForWriting.close()
    let answer = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return process.terminationStatus == 124 ? nil : [UInt8](answer)
  }
}
