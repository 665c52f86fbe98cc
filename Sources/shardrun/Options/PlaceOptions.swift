import ArgumentParser
import CommandLineSupport
import ShardTransport
import TensorCore

/// Where the bundle is, for every command that reads one.
struct BundleArgument: ParsableArguments {
  static let defaultPath = "./shards/bundles"

  @Argument(
    help: "A bundle directory or nodes/NAME/ of one (default: \(defaultPath)).",
    completion: .directory)
  var bundle: String?

  var path: String { bundle ?? Self.defaultPath }
}

/// Where the other nodes are, and how this one computes.
struct PlaceOptions: ParsableArguments {
  @Flag(
    help: """
      All nodes of the bundle as processes on this machine; also where nothing is said and the \
      bundle holds every node.
      """)
  var local = false

  @Option(
    help: ArgumentHelp(
      """
      The other nodes, each running `shardrun node` at an address; behind | the addresses of \
      spares that serve the same part.
      """, valueName: "name=HOST:PORT,..."))
  var peers: PeerList?

  @Flag(
    help: """
      The processes that mpirun started: rank i is the plan's node i. Only rank 0 reads the \
      prompt and prints.
      """)
  var mpi = false

  @Option(
    name: .customLong("prefill-chunk"),
    help: ArgumentHelp(
      "Tokens of a prompt that one pass takes; at most, and by default, what was planned.",
      valueName: "n"))
  var prefillChunk: Int?

  @OptionGroup var cluster: ClusterOptions
  @OptionGroup var trust: TrustOptions
  @OptionGroup var compute: ThreadOptions

  func validate() throws {
    if [local, peers != nil, mpi].count(where: { $0 }) > 1 {
      throw ValidationError("--local, --peers and --mpi exclude each other.")
    }
    if local || mpi, cluster.isGiven {
      throw ValidationError(
        "--key and --insecure go with --peers: processes of --local speak within this machine, "
          + "those of --mpi as MPI does.")
    }
    if let prefillChunk, prefillChunk < 1 {
      throw ValidationError("--prefill-chunk takes a positive number, not \(prefillChunk).")
    }
  }
}

/// `node-1=laptop2:7070,node-2=laptop3:7070|laptop4:7070`.
struct PeerList: ExpressibleByArgument {
  let peers: [(name: String, address: HostPort)]
  /// Other machines that serve a node's part, by its name.
  let spares: [String: [HostPort]]

  var addresses: [HostPort] { peers.map(\.address) + spares.values.flatMap { $0 } }

  init(peers: [(name: String, address: HostPort)]) {
    self.peers = peers
    spares = [:]
  }

  init?(argument: String) {
    var peers: [(name: String, address: HostPort)] = []
    var spares: [String: [HostPort]] = [:]
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let equals = part.firstIndex(of: "="), equals != part.startIndex else { return nil }
      let name = String(part[..<equals])
      let texts = part[part.index(after: equals)...]
        .split(separator: "|", omittingEmptySubsequences: false)
      let addresses = texts.compactMap { try? HostPort(String($0)) }.filter { $0.port > 0 }
      guard let first = addresses.first, addresses.count == texts.count else { return nil }
      peers.append((name, first))
      if addresses.count > 1 { spares[name] = Array(addresses.dropFirst()) }
    }
    self.peers = peers
    self.spares = spares
  }
}
