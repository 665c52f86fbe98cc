import Foundation
import TestSupport
import Testing

/// Machines of their own on one network, as far as one machine can have them: network namespaces
/// on a bridge, whose links can be taken down and lose packets. Root on Linux can make them.
final class NetworkHosts {
  /// Why there can be none; nil where there can.
  static let obstacle: String? = {
    #if os(Linux)
      guard getuid() == 0 else { return "network namespaces are for root" }
      for tool in ["ip", "nft"] where path(of: tool) == nil { return "there is no \(tool)" }
      let probe = "shp\(getpid())"
      guard run("ip", "netns", "add", probe) else { return "no network namespace can be made" }
      run("ip", "netns", "del", probe)
      return nil
    #else
      return "network namespaces are Linux's"
    #endif
  }()

  /// This machine's address on the network.
  let gateway: String
  private let prefix = "sh\(getpid() % 100_000)"
  private let count: Int
  private let directory: TemporaryDirectory
  /// By which they know each other.
  var key: String { directory.appending("cluster.pem") }
  private static let subnet = "10.79.\(getpid() % 250)"

  struct Failure: Error {
    let command: String
  }

  init(_ count: Int) throws {
    self.count = count
    gateway = Self.subnet + ".254"
    directory = try TemporaryDirectory()
    try shardtool(["keygen", "--cluster", directory.appending("cluster.pem")])
    let bridge = prefix + "br"
    try require("ip", "link", "add", bridge, "type", "bridge")
    try require("ip", "addr", "add", gateway + "/24", "dev", bridge)
    try require("ip", "link", "set", bridge, "up")
    for host in 0..<count {
      let (space, link) = (name(host), link(host))
      try require("ip", "netns", "add", space)
      try require(
        "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
      try require("ip", "link", "set", link, "master", bridge, "up")
      try require("ip", "-n", space, "addr", "add", address(host) + "/24", "dev", "eth0")
      try require("ip", "-n", space, "link", "set", "eth0", "up")
      try require("ip", "-n", space, "link", "set", "lo", "up")
    }
  }

  deinit {
    for host in 0..<count {
      Self.run("ip", "link", "del", link(host))
      Self.run("ip", "netns", "del", name(host))
    }
    Self.run("ip", "link", "del", prefix + "br")
  }

  private func name(_ host: Int) -> String { "\(prefix)h\(host)" }
  private func link(_ host: Int) -> String { "\(prefix)v\(host)" }
  func address(_ host: Int) -> String { "\(Self.subnet).\(host + 1)" }

  /// A program's path and arguments that run it on a host.
  func command(_ program: String, _ arguments: [String], on host: Int) -> (String, [String]) {
    let path = program.hasPrefix("/") ? program : "\(Places.programs)/\(program)"
    return (Self.path(of: "ip") ?? "/sbin/ip", ["netns", "exec", name(host), path] + arguments)
  }

  /// Takes a host's link down, or up again.
  func cut(_ host: Int, _ isCut: Bool) {
    #expect(Self.run("ip", "link", "set", link(host), isCut ? "down" : "up"))
  }

  /// Lets so many in a thousand of the packets be lost that a host gets, and that it sends.
  func lose(inThousand: Int, on host: Int) {
    for (chain, hook) in [("i", "input"), ("o", "output")] {
      let nft = ["ip", "netns", "exec", name(host), "nft"]
      for words in [
        ["add", "table", "inet", "t"],
        ["add", "chain", "inet", "t", chain, "{ type filter hook \(hook) priority 0; }"],
        ["add", "rule", "inet", "t", chain, "numgen random mod 1000 < \(inThousand) drop"],
      ] { #expect(Self.run(nft + words)) }
    }
  }

  private func require(_ words: String...) throws {
    guard Self.run(words) else { throw Failure(command: words.joined(separator: " ")) }
  }

  private static func path(of tool: String) -> String? {
    ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map { "\($0)/\(tool)" }
      .first(where: FileManager.default.isExecutableFile)
  }

  @discardableResult private static func run(_ words: String...) -> Bool { run(words) }

  @discardableResult private static func run(_ words: [String]) -> Bool {
    guard let tool = path(of: words[0]) else { return false }
    return (try? ProgramRun.run(tool, Array(words.dropFirst())))?.status == 0
  }
}
