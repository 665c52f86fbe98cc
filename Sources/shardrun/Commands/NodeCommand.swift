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
    abstract: "Serves this node's layers to coordinators.",
    discussion: """
      Verifies and loads the node's part, listens, and serves coordinators until it gets SIGTERM \
      or Ctrl-C: as many at once as sequences were planned (plan --sequences N). Beyond this \
      machine it speaks with holders of the same cluster identity only: --key FILE, or \
      ~/.config/shardtool/cluster.pem.
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

  @Flag(
    name: .customLong("json-log"),
    help: "Log to standard error as JSON, one object a line for each event.")
  var jsonLog = false

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
      cluster: cluster, trust: trust, endsWithInput: endWithInput, jsonLog: jsonLog, common: common
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
  var jsonLog = false
  let common: CommonOptions

  /// How long the pass at work may take after SIGTERM.
  private static let graceSeconds = 10.0

  func run() throws {
    let interruption = Interruption()
    let logger = NodeLog.make(asJSON: jsonLog, quiet: common.quiet)
    if endsWithInput { Self.endWithInput() }
    let transport = try cluster.makeTransport(for: [address])
    defer { transport.shutdown() }
    let package = try VerifiedPackage.open(
      directory: bundle, node: node, trust: try TrustRequirement(trust))
    if jsonLog {
      for doubt in package.trust.doubts {
        logger.critical("\(doubt)", metadata: ["event": "trust"])
      }
    } else {
      trust.warn(package.trust.doubts)
    }
    guard !package.isWholeBundle || package.nodeNames.count == 1 else {
      throw NodeChoiceFault(bundle: bundle, names: package.nodeNames)
    }
    let compute = try ComputeContext(threads: threads ?? WorkerPool.defaultThreadCount)
    let bar = common.makeProgressBar(orSilent: jsonLog)
    let shard = try LoadedShard(package: package, compute: compute, progress: bar.handler)
    bar.finish()
    try package.recordSequence()
    if interruption.isRequested { return }
    let server = NodeServer(
      stage: shard.makeStage(), listen: address, transport: transport, logger: logger)
    let actual = try server.start()
    interruption.grant(graceSeconds: Self.graceSeconds)
    let node: Logger.MetadataValue = "\(shard.node)"
    interruption.onRequest {
      logger.info(
        "ending: finishing the pass at work", metadata: ["event": "node.ending", "node": node])
      server.shutdown()
    }
    announce(shard, actual, isEncrypted: transport.isEncrypted, logger)
    server.waitUntilClosed()
    logger.info("ended", metadata: ["event": "node.ended", "node": node])
  }

  private func announce(
    _ shard: LoadedShard, _ actual: HostPort, isEncrypted: Bool, _ logger: Logger
  ) {
    let layers = shard.layers
    let manner = isEncrypted ? "encrypted" : "not encrypted"
    logger.info(
      "serves layers \(layers.lowerBound)-\(layers.upperBound - 1) on \(actual), \(manner)",
      metadata: [
        "event": "node.listening", "node": "\(shard.node)", "address": "\(actual)",
        "bundle": "\(shard.bundleID)", "encrypted": "\(isEncrypted)",
      ])
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
    }
    if !common.json, !jsonLog, address.isLoopback {
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
