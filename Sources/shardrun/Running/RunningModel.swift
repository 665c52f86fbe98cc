import CommandLineSupport
import Foundation
import ShardPackaging
import ShardRuntime
import ShardTransport
import TensorCore
import TensorKernels
import Tokenization

/// A bundle's model with all its nodes, ready for its first token.
final class RunningModel {
  let package: VerifiedPackage
  let shard: LoadedShard
  let pipeline: InferencePipeline
  /// Nil for a bundle without tokenizer files, and where none was wanted.
  let tokenizer: Tokenizer?
  /// From the start of the command to READY.
  let loadSeconds: Double
  private let cluster: LocalCluster?
  /// Nil where one node holds all.
  private let transport: TCPTransport?
  /// Whether this machine stands for all of the plan's: then its speed says nothing of theirs.
  var standsForOthers: Bool { cluster != nil }
  /// What node processes have to end of themselves.
  private var gracePeriod = Duration.seconds(1)
  /// After a failure one of them may hang, and the user waits for the reason.
  private static let hurry = Duration.milliseconds(100)

  var limits: SequenceLimits {
    SequenceLimits(
      context: shard.plan.settings.context, vocabularySize: shard.vocabularySize,
      modelContext: shard.dimensions.contextLength)
  }

  /// What a command wants with the bundle's tokenizer.
  enum Text {
    /// Nothing.
    case none
    /// Text where it can be had; ids do as well.
    case ifPossible
    /// A tokenizer that cannot be read is an error. A bundle may still have none.
    case needed
  }

  /// Starts the node processes of `--local`, loads this node's shard, connects.
  ///
  /// - Parameter check: sees the package and the tokenizer before the weights are read.
  /// Throws: any module's fault; no process is left behind then.
  init(
    bundle path: String, place: PlaceOptions, common: CommonOptions, interruption: Interruption,
    text: Text = .needed, check: (VerifiedPackage, Tokenizer?) throws -> Void = { _, _ in }
  ) throws {
    let start = ContinuousClock.now
    let package = try VerifiedPackage.open(
      directory: path, trust: try TrustRequirement(place.trust))
    place.trust.warn(package.trust.doubts)
    self.package = package
    tokenizer = try Self.tokenizer(of: package, for: text, common)
    try check(package, tokenizer)
    let others = package.nodeNames.filter { $0 != package.node }
    let job = try place.mpi ? Ranks.job(for: package) : nil
    let peers =
      try job.map { Ranks.addresses(of: others, $0) }
      ?? Self.peers(of: package, path, place, others)
    transport =
      try job == nil && !others.isEmpty
      ? place.cluster.makeTransport(for: peers?.map(\.address) ?? []) : nil
    let cluster =
      try peers == nil && !others.isEmpty
      ? LocalCluster(
        bundle: path, nodes: others, program: try Self.programPath(),
        options: place.trust.arguments
          + (place.compute.threads.map { ["--threads", "\($0)"] } ?? []))
      : nil
    self.cluster = cluster
    do {
      if let cluster { interruption.onForcedEnd { cluster.stop() } }
      let compute = try ComputeContext(
        threads: place.compute.threads ?? WorkerPool.defaultThreadCount)
      let bar = common.makeProgressBar()
      shard = try LoadedShard(package: package, compute: compute, progress: bar.handler)
      bar.finish()
      let addresses =
        try peers
        ?? cluster?.addresses(isInterrupted: { interruption.isRequested }) ?? []
      var options = InferencePipeline.Options()
      options.prefillChunk = place.prefillChunk
      try job?.waitForOthers(isInterrupted: { interruption.isRequested })
      pipeline = try InferencePipeline(
        stage: shard.makeStage(), peers: addresses, options: options,
        transport: job?.transport ?? transport)
      try package.recordSequence()
    } catch {
      let reason = cluster?.explain(error) ?? error
      cluster?.stop(gracePeriod: Self.hurry)
      transport?.shutdown()
      throw reason
    }
    loadSeconds = (ContinuousClock.now - start).seconds
    let planned = shard.plan.settings.prefillChunk
    if let wanted = place.prefillChunk, wanted > planned {
      common.note("--prefill-chunk \(wanted): taking \(planned), the most that was planned")
    }
  }

  private static func tokenizer(
    of package: VerifiedPackage, for text: Text, _ common: CommonOptions
  ) throws -> Tokenizer? {
    guard text != .none, Tokenizer.hasFiles(Array(package.assets.keys)) else { return nil }
    do {
      return try Tokenizer.load(files: package.assets)
    } catch let fault as any Fault where text == .ifPossible {
      common.note("going on without text: \(fault.message)")
      return nil
    }
  }

  /// Runs some work; where it fails because a node's process ended, the error says so.
  func run<Result>(_ work: () throws -> Result) throws -> Result {
    do {
      return try work()
    } catch {
      gracePeriod = Self.hurry
      throw cluster?.explain(error) ?? error
    }
  }

  /// Says goodbye to the nodes and ends those that this process started.
  func stop() {
    pipeline.shutdown()
    transport?.shutdown()
    cluster?.stop(gracePeriod: gracePeriod)
  }

  /// The addresses given, or nil where the nodes are to be started here.
  private static func peers(
    of package: VerifiedPackage, _ path: String, _ place: PlaceOptions, _ others: [String]
  ) throws -> [(name: String, address: HostPort)]? {
    if let list = place.peers { return list.peers }
    guard !others.isEmpty else { return [] }
    for node in others where !Directory.exists("\(path)/nodes/\(node)") {
      throw PlaceFault(bundle: path, node: package.node, missing: node, others: others)
    }
    return nil
  }

  /// This very program, for the other nodes to run.
  private static func programPath() throws -> String {
    if let path = Bundle.main.executablePath { return path }
    return CommandLine.arguments[0]
  }
}

/// A bundle that does not hold every node, and no word about where the others are.
struct PlaceFault: Fault {
  let code = "place.nodesMissing"
  let message: String
  let exitStatus = ExitStatus.usage
  let context: [String: String]

  init(bundle: String, node: String, missing: String, others: [String]) {
    let example = others.map { "\($0)=HOST:PORT" }.joined(separator: ",")
    message =
      "\(bundle) holds no part for \(missing); start `shardrun node` where the other nodes are "
      + "and give --peers \(example)"
    context = ["file": bundle, "node": missing]
  }
}
