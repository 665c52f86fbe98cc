import ArgumentParser
import CommandLineSupport
import Foundation
import Logging
import ShardPackaging
import ShardRuntime
import ShardTransport
import StrictJSON
import TensorCore
import TensorKernels

struct NodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "node",
    abstract: "Serves this node's layers to a coordinator.",
    discussion: """
      Verifies and loads the node's part, listens, and serves one coordinator after another until \
      it gets SIGTERM or Ctrl-C. Beyond this machine it speaks with holders of the same cluster \
      identity only: --key FILE, or ~/.config/shardtool/cluster.pem.
      """)

  static let defaultAddress = "127.0.0.1:7070"

  @OptionGroup var bundle: BundleArgument

  @Option(help: "Which node of a bundle directory.")
  var node: String?

  @Option(
    help: ArgumentHelp(
      "Where to listen; port 0 lets the system choose, 0.0.0.0 lets other machines in.",
      valueName: "HOST:PORT"))
  var listen = NodeCommand.defaultAddress

  @Flag(help: .hidden)
  var endWithInput = false

  @OptionGroup var cluster: ClusterOptions
  @OptionGroup var trust: TrustOptions
  @OptionGroup var compute: ThreadOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    do {
      _ = try HostPort(listen)
    } catch {
      throw ValidationError("--listen takes HOST:PORT, not \"\(listen)\".")
    }
  }

  func run() throws {
    try NodeServing(
      bundle: bundle.path, node: node, address: try HostPort(listen), threads: compute.threads,
      cluster: cluster, trust: trust, endsWithInput: endWithInput, common: common
    ).run()
  }
}

/// The work of `shardrun node`.
struct NodeServing {
  let bundle: String
  let node: String?
  let address: HostPort
  let threads: Int?
  let cluster: ClusterOptions
  let trust: TrustOptions
  /// Whether the end of standard input ends the process: how children follow their parent.
  var endsWithInput = false
  let common: CommonOptions

  func run() throws {
    let interruption = Interruption()
    if endsWithInput { Self.endWithInput() }
    let transport = try cluster.makeTransport(for: [address])
    defer { transport.shutdown() }
    let package = try VerifiedPackage.open(
      directory: bundle, node: node, trust: try TrustRequirement(trust))
    trust.warn(package.trust.doubts)
    guard !package.isWholeBundle || package.nodeNames.count == 1 else {
      throw NodeChoiceFault(bundle: bundle, names: package.nodeNames)
    }
    let compute = try ComputeContext(threads: threads ?? WorkerPool.defaultThreadCount)
    let bar = common.makeProgressBar()
    let shard = try LoadedShard(package: package, compute: compute, progress: bar.handler)
    bar.finish()
    try package.recordSequence()
    if interruption.isRequested { return }
    var logger = Logger(label: "shardrun.node", factory: { _ in ErrorStreamLog() })
    logger.logLevel = common.quiet ? .error : .info
    let server = NodeServer(
      stage: shard.makeStage(), listen: address, transport: transport, logger: logger)
    let actual = try server.start()
    interruption.onRequest { server.shutdown() }
    announce(shard, actual)
    server.waitUntilClosed()
  }

  private func announce(_ shard: LoadedShard, _ actual: HostPort) {
    let layers = shard.layers
    if common.json {
      let object: JSONValue = [
        "schema": "shardrun.node/1",
        "node": .string(shard.node),
        "listen": .string("\(actual)"),
        "first_layer": JSONValue(layers.lowerBound),
        "layer_count": JSONValue(layers.count),
        "bundle": .string(shard.bundleID),
      ]
      Console.write(object.serialized(.compact) + "\n")
      return
    }
    common.note(
      "\(shard.node) serves layers \(layers.lowerBound)-\(layers.upperBound - 1) on \(actual)")
    if address.isLoopback {
      common.note("only this machine reaches it; --listen 0.0.0.0:\(actual.port) lets others in")
    }
  }

  /// Ends the process at once when standard input ends.
  private static func endWithInput() {
    Thread.detachNewThread {
      var bytes = [UInt8](repeating: 0, count: 256)
      while true {
        let count = unsafe read(0, &bytes, bytes.count)
        if count == 0 || (count < 0 && errno != EINTR) { _exit(0) }
      }
    }
  }
}

/// Log lines on standard error, one an event.
struct ErrorStreamLog: LogHandler {
  var logLevel = Logger.Level.info
  var metadata = Logger.Metadata()

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    Console.writeError("\(event.level): \(event.message)\n")
  }
}

/// A bundle of several nodes, and no word about which of them this is.
struct NodeChoiceFault: Fault {
  let code = "node.notChosen"
  let message: String
  let exitStatus = ExitStatus.usage

  init(bundle: String, names: [String]) {
    message =
      "\(bundle) holds \(names.count) nodes; say which one this is with --node "
      + "(\(names.joined(separator: ", "))), or give \(bundle)/nodes/NAME"
  }
}
