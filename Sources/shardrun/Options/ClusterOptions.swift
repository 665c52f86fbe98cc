import ArgumentParser
import CommandLineSupport
import ShardPackaging
import ShardTransport
import TensorCore

/// By what the machines of a cluster know each other.
struct ClusterOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The cluster identity that every machine holds; links are encrypted, and nobody else is let "
        + "in.",
      discussion: """
        Made by shardtool keygen --cluster. Without it, ~/.config/shardtool/cluster.pem counts \
        where an address is not of this machine alone.
        """, valueName: "file"), completion: .file())
  var key: String?

  @Flag(help: "Speak with other machines without encryption, and let anybody in.")
  var insecure = false

  /// What these options are called.
  static let names = ["--key", "--insecure"]

  var isGiven: Bool { key != nil || insecure }

  func validate() throws {
    if insecure, key != nil { throw ValidationError("--key and --insecure exclude each other.") }
  }

  /// Links to these addresses, or from one of them.
  ///
  /// Throws: `ClusterFault` where other machines are meant and there is no identity; what an
  /// identity's file is refused for.
  func makeTransport(for addresses: [HostPort]) throws -> TCPTransport {
    let beyond = addresses.first { !$0.isLoopback }
    if insecure {
      if let beyond {
        Console.writeError(
          "warning: links of \(beyond) are neither encrypted nor authenticated (--insecure)\n")
      }
      return TCPTransport()
    }
    guard let path = try key ?? beyond.map(Self.usualPath) else { return TCPTransport() }
    let identity = try ClusterIdentity(path: path)
    return TCPTransport(
      identity: try TLSIdentity(
        certificate: identity.certificate, privateKey: identity.privateKey))
  }

  private static func usualPath(for address: HostPort) throws(ClusterFault) -> String {
    let path = ClusterIdentity.usualPath()
    guard let path, Directory.isFile(path) else {
      throw ClusterFault(address: address, path: path ?? "~/.config/shardtool/cluster.pem")
    }
    return path
  }
}

/// Other machines are to be spoken with, and nothing says who they are.
struct ClusterFault: Fault {
  let code = "cluster.noIdentity"
  let message: String
  let exitStatus = ExitStatus.notTrusted
  let context: [String: String]

  init(address: HostPort, path: String) {
    message =
      "\(address) is not of this machine alone, and there is no cluster identity (\(path)); make "
      + "one with shardtool keygen --cluster and copy it to every machine, name another with "
      + "--key FILE, or type --insecure to do without encryption"
    context = ["address": "\(address)", "file": path]
  }
}
