import Foundation
import TensorCore
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// Three machines on one network: network namespaces of this one, each with an address, a home
/// directory and an sshd of its own. They share the programs and see nothing of each other's files.
///
/// A host's home is `/mnt/you` to itself; a test sees it as `home(of:)`.
final class ThreeHosts {
  static let names = ["laptop-a", "laptop-b", "laptop-c"]
  private static let tools = [
    "/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/scp", "/usr/bin/ssh-keygen", "/usr/bin/nsenter",
    "/usr/bin/unshare",
  ]

  /// Why they cannot be made here; nil where they can.
  static let reasonToSkip: Comment? = {
    guard getuid() == 0 else { return "network namespaces need root" }
    for tool in tools where !FileManager.default.isExecutableFile(atPath: tool) {
      return "no \(tool) here: make deps-test installs what tests need"
    }
    let probe = "ip netns add shard-try && ip netns exec shard-try unshare -m true"
    let made = try? ProgramRun.run("/bin/sh", ["-c", probe])
    _ = try? ProgramRun.run("/bin/sh", ["-c", "ip netns del shard-try"])
    guard made?.status == 0 else { return "this machine makes no network namespaces" }
    return nil
  }()

  static var areHere: Bool { reasonToSkip == nil }

  struct Failure: Error {
    let message: String
  }

  private let directory: TemporaryDirectory
  /// Makes the names of devices and namespaces differ from those of others.
  private let mark = String(UInt32(getpid()) % 100_000)
  /// A process in each host, whose namespaces others enter.
  private var anchors: [String: RunningProgram] = [:]
  private var servers: [RunningProgram] = []

  var bridge: String { "shbr\(mark)" }

  init() throws {
    directory = try TemporaryDirectory()
    do {
      try makeNetwork()
      try makeFiles()
      for name in Self.names { try start(name) }
    } catch {
      remove()
      throw error
    }
  }

  deinit { remove() }

  /// Where a host's home lies for this process.
  func home(of host: String) -> String { directory.appending(host) }

  private func namespace(_ host: String) -> String { "shard-\(mark)-\(host)" }

  static func address(of host: String) -> String {
    "10.77.0.\((names.firstIndex(of: host) ?? 0) + 1)"
  }

  private func makeNetwork() throws {
    var script = "set -e; ip link add \(bridge) type bridge; ip link set \(bridge) up\n"
    for (index, name) in Self.names.enumerated() {
      let (space, port) = (namespace(name), "shv\(mark)\(index)")
      script += """
        ip netns add \(space)
        ip link add \(port) type veth peer name eth0 netns \(space)
        ip link set \(port) master \(bridge) up
        ip -n \(space) addr add \(Self.address(of: name))/24 dev eth0
        ip -n \(space) link set eth0 up; ip -n \(space) link set lo up

        """
    }
    try shell(script)
  }

  private func makeFiles() throws {
    try Directory.create("/run/sshd")
    let users = try String(contentsOfFile: "/etc/passwd", encoding: .utf8)
    let ours = users.split(separator: "\n").map { line -> String in
      guard line.hasPrefix("root:") else { return String(line) }
      return "root:x:0:0:root:/mnt/you:/bin/sh"
    }
    try write("passwd", ours.joined(separator: "\n") + "\n")
    let hosts = Self.names.map { "\(Self.address(of: $0)) \($0)\n" }.joined()
    try write("hosts", "127.0.0.1 localhost\n" + hosts)
    var known = ""
    try shell("ssh-keygen -q -t ed25519 -N '' -C you -f \(directory.path)/id_ed25519")
    for name in Self.names {
      let (home, etc) = (home(of: name), directory.appending("etc-\(name)"))
      try Directory.create(etc)
      try shell(
        """
        mkdir -m 700 -p \(home)/.ssh; chmod 755 \(home)
        ssh-keygen -q -t ed25519 -N '' -C \(name) -f \(etc)/host
        cp \(directory.path)/id_ed25519.pub \(home)/.ssh/authorized_keys
        """)
      known += "\(name) \(try String(contentsOfFile: etc + "/host.pub", encoding: .utf8))"
      try write(
        "etc-\(name)/sshd_config",
        """
        HostKey /mnt/etc/host
        PidFile /mnt/etc/sshd.pid
        StrictModes no
        UsePAM no
        PasswordAuthentication no
        PermitRootLogin prohibit-password
        Subsystem sftp internal-sftp
        SetEnv PATH=\(Self.path)

        """)
    }
    let first = home(of: Self.names[0])
    try shell("cp -p \(directory.path)/id_ed25519 \(first)/.ssh/")
    try Directory.writeAtomically(Array(known.utf8), to: first + "/.ssh/known_hosts")
  }

  private func start(_ host: String) throws {
    let anchor = try RunningProgram(
      "/bin/sh",
      [
        "-c",
        """
        exec ip netns exec \(namespace(host)) unshare -m --propagation private sh -ec '
          mount -t tmpfs -o mode=755 none /mnt; mkdir /mnt/you /mnt/etc
          mount --bind \(home(of: host)) /mnt/you
          mount --bind \(directory.appending("etc-\(host)")) /mnt/etc
          mount --bind \(directory.appending("passwd")) /etc/passwd
          mount --bind \(directory.appending("hosts")) /etc/hosts
          mount -t tmpfs none \(directory.path)
          echo ready; exec sleep 3600'
        """,
      ])
    anchors[host] = anchor
    guard RunningProgram.wait(seconds: 10, until: { anchor.output.contains("ready") }) else {
      throw Failure(message: "\(host): \(anchor.errors)")
    }
    // The shell keeps the descriptor by which Foundation sees the end of a process, and which
    // sshd closes.
    let server = try background(host, "sh -c '/usr/sbin/sshd -D -e -f /mnt/etc/sshd_config; exit'")
    servers.append(server)
    let listens = RunningProgram.wait(seconds: 10) { server.errors.contains("Server listening") }
    guard listens else { throw Failure(message: "sshd: \(server.errors)") }
  }

  private func remove() {
    for name in Self.names {
      let path = directory.appending("etc-\(name)/sshd.pid")
      let text = try? String(contentsOfFile: path, encoding: .utf8)
      let number = text.flatMap { Int32($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
      if let number { kill(number, SIGTERM) }
    }
    for program in servers { _ = program.finish(withinSeconds: 2) }
    for program in anchors.values {
      program.send(SIGKILL)
      _ = program.finish(withinSeconds: 2)
    }
    let spaces = Self.names.map { "ip netns del \(namespace($0))" }
    let ports = Self.names.indices.map { "ip link del shv\(mark)\($0)" }
    _ = try? ProgramRun.run(
      "/bin/sh", ["-c", (ports + spaces + ["ip link del \(bridge)"]).joined(separator: "; ")])
  }

  // MARK: Commands

  private static let path = "\(Places.programs):/usr/bin:/bin:/usr/sbin:/sbin"

  /// A shell of a host, in its home.
  private func arguments(_ host: String, _ command: String) -> [String] {
    [
      "-t", "\(anchors[host]?.identifier ?? 0)", "-m", "-n", "--", "/usr/bin/env", "-i",
      "HOME=/mnt/you", "USER=root", "PATH=\(Self.path)", "/bin/sh", "-c", "cd; \(command)",
    ]
  }

  /// Runs a command on a host to its end.
  func run(_ host: String, _ command: String) throws -> ProgramRun {
    try ProgramRun.run("/usr/bin/nsenter", arguments(host, command))
  }

  /// Starts a program on a host; the process is that of the program.
  func background(
    _ host: String, _ command: String, behind setup: String = ""
  ) throws -> RunningProgram {
    try RunningProgram("/usr/bin/nsenter", arguments(host, "\(setup)exec \(command)"))
  }

  private func shell(_ script: String) throws {
    let run = try ProgramRun.run("/bin/sh", ["-c", script])
    guard run.status == 0 else { throw Failure(message: "\(script): \(run.errors)") }
  }

  private func write(_ name: String, _ text: String) throws {
    try Directory.writeAtomically(Array(text.utf8), to: directory.appending(name))
  }
}
