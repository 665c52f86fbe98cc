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
      "The other nodes, each running `shardrun node` at an address.",
      valueName: "name=HOST:PORT,..."))
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

/// `node-1=laptop2:7070,node-2=laptop3:7070`.
struct PeerList: ExpressibleByArgument {
  let peers: [(name: String, address: HostPort)]

  init?(argument: String) {
    var peers: [(name: String, address: HostPort)] = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let equals = part.firstIndex(of: "="), equals != part.startIndex,
        let address = try? HostPort(String(part[part.index(after: equals)...])), address.port > 0
      else { return nil }
      peers.append((String(part[..<equals]), address))
    }
    self.peers = peers
  }
}
