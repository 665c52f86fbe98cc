import Foundation
import StrictJSON
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// The nodes of a bundle but the first, each a program of its own behind a relay, that can be lost
/// and come back at the addresses they had.
final class ServedNodes {
  let bundle: String
  /// `node-1` is at 0.
  private(set) var programs: [RunningProgram] = []
  private(set) var relays: [DelayingRelay] = []
  private var ports: [Int] = []
  /// Sockets of each node before anybody connected: where it listens, and what it was born with.
  private var sockets: [Int] = []
  private let environment: [String: String]
  /// Machines to run on, host 0 for the coordinator; nil for this one.
  private let hosts: NetworkHosts?

  init(
    _ bundle: String, count: Int, microseconds: Int = 0, environment: [String: String] = [:],
    hosts: NetworkHosts? = nil
  ) throws {
    self.bundle = bundle
    self.environment = environment
    self.hosts = hosts
    for node in 1...count {
      let (program, port) = try start(node, port: 0)
      programs.append(program)
      sockets.append(ProcessUse(program.identifier)?.sockets ?? 0)
      ports.append(port)
      relays.append(
        try DelayingRelay(
          to: port, of: hosts?.address(node) ?? Self.here, at: hosts?.gateway ?? Self.here,
          microseconds: microseconds))
    }
  }

  deinit {
    for program in programs { program.send(SIGKILL) }
  }

  private static let here = "127.0.0.1"

  var peers: String {
    relays.enumerated().map { "node-\($0 + 1)=\(hosts?.gateway ?? Self.here):\($1.port)" }
      .joined(separator: ",")
  }

  /// A coordinator's program, where the first node is.
  func coordinator(_ arguments: [String]) throws -> RunningProgram {
    try run(arguments + ["--peers", peers], on: 0)
  }

  private func run(_ arguments: [String], on host: Int) throws -> RunningProgram {
    guard let hosts else {
      return try RunningProgram("shardrun", arguments, environment: environment)
    }
    let (program, words) = hosts.command("shardrun", arguments + ["--key", hosts.key], on: host)
    return try RunningProgram(program, words, environment: environment)
  }

  func program(_ node: Int) -> RunningProgram { programs[node - 1] }
  func relay(_ node: Int) -> DelayingRelay { relays[node - 1] }

  private func start(_ node: Int, port: Int) throws -> (RunningProgram, Int) {
    let program = try run(
      [
        "node", "\(bundle)/nodes/node-\(node)", "--listen",
        "\(hosts?.address(node) ?? Self.here):\(port)", "--json", "--quiet", "--threads", "1",
      ], on: node)
    try #require(
      RunningProgram.wait(seconds: 20) { program.output.hasSuffix("\n") || !program.isRunning })
    let address = try JSONParsing().parse(program.output)["listen"]?.string
    let actual = address?.split(separator: ":").last.flatMap { Int($0) }
    return (program, try #require(actual, "\(program.errors)"))
  }

  /// Starts a node that has been killed, at its old address.
  func restart(_ node: Int) throws {
    programs[node - 1].send(SIGKILL)
    _ = programs[node - 1].finish(withinSeconds: 5)
    programs[node - 1] = try start(node, port: ports[node - 1]).0
  }

  /// What a node takes once nobody is connected to it any more; after five seconds in any case.
  func idleUse(_ node: Int) -> ProcessUse? {
    let identifier = programs[node - 1].identifier
    _ = RunningProgram.wait(seconds: 5) {
      usleep(10_000)
      return (ProcessUse(identifier)?.sockets ?? 0) <= sockets[node - 1]
    }
    return ProcessUse(identifier)
  }

  /// Another program that serves a node's part, and its address.
  func spare(of node: Int) throws -> (program: RunningProgram, address: String) {
    let (program, port) = try start(node, port: 0)
    return (program, "127.0.0.1:\(port)")
  }
}

/// What a process has open and takes, by the system's own account (Linux).
struct ProcessUse: Equatable {
  let descriptors: Int
  let sockets: Int
  let residentBytes: Int
  let threads: Int

  init?(_ identifier: Int32) {
    let place = "/proc/\(identifier)"
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: "\(place)/fd"),
      let status = try? String(contentsOfFile: "\(place)/status", encoding: .utf8)
    else { return nil }
    func number(_ key: String) -> Int {
      let line = status.split(separator: "\n").first { $0.hasPrefix(key) }
      return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
    }
    descriptors = names.count
    sockets = names.count { name in
      let target = try? FileManager.default.destinationOfSymbolicLink(
        atPath: "\(place)/fd/\(name)")
      return target?.hasPrefix("socket:") == true
    }
    residentBytes = number("VmRSS:") * 1024
    threads = number("Threads:")
  }
}
