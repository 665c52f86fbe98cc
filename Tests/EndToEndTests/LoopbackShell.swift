import Foundation
import TensorCore
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// A real sshd on a loopback port of its own, with keys and a configuration of its own.
final class LoopbackShell {
  let directory: TemporaryDirectory
  let port: Int
  private let process = Process()

  private static let server = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/opt/homebrew/sbin/sshd"]
    .first { FileManager.default.isExecutableFile(atPath: $0) }
  private static let keyMaker = "/usr/bin/ssh-keygen"

  /// Why there is none on this machine; nil where there is.
  static let reasonToSkip: Comment? = {
    guard server != nil, FileManager.default.isExecutableFile(atPath: "/usr/bin/ssh"),
      FileManager.default.isExecutableFile(atPath: keyMaker)
    else { return "no OpenSSH server and client here: make deps-test installs them" }
    return nil
  }()

  static var isHere: Bool { reasonToSkip == nil }

  struct Failure: Error {
    let message: String
  }

  init() throws {
    directory = try TemporaryDirectory()
    _ = unsafe chmod(directory.path, 0o700)
    for name in ["host", "stranger", "user", "unknown"] {
      let run = try ProgramRun.run(
        Self.keyMaker,
        ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", directory.appending(name)])
      guard run.status == 0 else { throw Failure(message: run.errors) }
    }
    port = try Self.freePort()
    try write("authorized_keys", try key("user"))
    try write("known_hosts", "[127.0.0.1]:\(port) \(try key("host"))")
    try write("known_wrong", "[127.0.0.1]:\(port) \(try key("stranger"))")
    try write("known_none", "")
    try write(
      "sshd_config",
      """
      Port \(port)
      ListenAddress 127.0.0.1
      HostKey \(directory.appending("host"))
      PidFile \(directory.appending("sshd.pid"))
      AuthorizedKeysFile \(directory.appending("authorized_keys"))
      StrictModes no
      UsePAM no
      PasswordAuthentication no
      KbdInteractiveAuthentication no
      PermitRootLogin prohibit-password
      MaxStartups 100
      """)
    for (name, known, key) in [
      ("config", "known_hosts", "user"), ("config-wrong-host", "known_wrong", "user"),
      ("config-unknown-host", "known_none", "user"), ("config-wrong-key", "known_hosts", "unknown"),
    ] {
      try write(
        name,
        """
        Host *
          IdentityFile \(directory.appending(key))
          IdentitiesOnly yes
          IdentityAgent none
          UserKnownHostsFile \(directory.appending(known))
          GlobalKnownHostsFile /dev/null
          StrictHostKeyChecking yes
        """)
    }
    try start()
  }

  deinit {
    if process.isRunning, let identifier { kill(identifier, SIGTERM) }
    process.waitUntilExit()
  }

  private func start() throws {
    // The server separates privileges in this directory, which its start script makes.
    if getuid() == 0 { try? Directory.create("/run/sshd") }
    // The shell in between keeps the descriptor by which Foundation sees the end of a process,
    // and which the server closes.
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = [
      "-c", "\"$0\" -D -f \"$1/sshd_config\" -E \"$1/log\"; exit", try #require(Self.server),
      directory.path,
    ]
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    let answers = RunningProgram.wait(seconds: 10) {
      (try? self.shell("true").status) == 0
    }
    guard answers else {
      let log = (try? String(contentsOfFile: directory.appending("log"), encoding: .utf8)) ?? ""
      throw Failure(message: "sshd does not answer: \(log)")
    }
  }

  /// The server's process; nil where it does not run.
  var identifier: Int32? {
    let text = try? String(contentsOfFile: directory.appending("sshd.pid"), encoding: .utf8)
    return text.flatMap { Int32($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
  }

  var destination: String { "\(NSUserName())@127.0.0.1" }

  /// Options of `shardtool ship` that lead here.
  func options(_ configuration: String = "config") -> [String] {
    [
      "--ssh-config", directory.appending(configuration), "--port", "\(port)",
      "--remote-command", "\(Places.programs)/shardrun",
    ]
  }

  private func shell(_ command: String) throws -> ProgramRun {
    try ProgramRun.run(
      "/usr/bin/ssh",
      [
        "-F", directory.appending("config"), "-p", "\(port)", "-o", "BatchMode=yes", destination,
        command,
      ])
  }

  private func key(_ name: String) throws -> String {
    try String(contentsOfFile: directory.appending("\(name).pub"), encoding: .utf8)
  }

  func write(_ name: String, _ text: String) throws {
    try Directory.writeAtomically(Array((text + "\n").utf8), to: directory.appending(name))
    _ = unsafe chmod(directory.appending(name), 0o600)
  }

  /// A port that nobody listens on.
  static func freePort() throws -> Int {
    #if canImport(Glibc)
      let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      let listener = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    defer { close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = unsafe withUnsafeMutablePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(listener, $0, size) == 0 && getsockname(listener, $0, &size) == 0
      }
    }
    guard isBound else { throw Failure(message: "no free port") }
    return Int(UInt16(bigEndian: address.sin_port))
  }
}
