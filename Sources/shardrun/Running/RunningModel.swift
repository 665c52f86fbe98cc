import ArgumentParser
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
  /// Makes the ring anew where a node was lost.
  let recovery: RingRecovery
  private let maker: RingMaker
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
  /// - Parameters:
  ///   - sequences: how many to have under way at once; nil takes all that were planned.
  ///   - failure: what happens where a node is lost, now or later.
  ///   - check: sees the package and the tokenizer before the weights are read.
  /// Throws: any module's fault; no process is left behind then.
  init(
    bundle path: String, place: PlaceOptions, common: CommonOptions, interruption: Interruption,
    text: Text = .needed, sequences: Int? = 1, failure: FailurePolicy = .abort,
    check: (VerifiedPackage, Tokenizer?) throws -> Void = { _, _ in }
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
      try job.map { PeerList(peers: Ranks.addresses(of: others, $0)) }
      ?? Self.peers(of: package, path, place, others)
    if peers == nil, !others.isEmpty, place.cluster.isGiven {
      throw ValidationError(
        "--key and --insecure go with --peers: this bundle holds every node, and their processes "
          + "speak within this machine.")
    }
    transport =
      try job == nil && !others.isEmpty
      ? place.cluster.makeTransport(for: peers?.addresses ?? []) : nil
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
      maker = RingMaker(
        stage: shard.makeStage(), peers: peers, cluster: cluster,
        transport: job?.transport ?? transport, prefillChunk: place.prefillChunk,
        sequences: sequences, interruption: interruption)
      // A rank that is lost takes the whole job of mpirun along.
      recovery = RingRecovery(
        job == nil ? failure : .abort, isInterrupted: { interruption.isRequested },
        onEvent: { Self.tell($0, isLocal: cluster != nil, common) })
      try job?.waitForOthers(isInterrupted: { interruption.isRequested })
      _ = try recovery.establish(
        patience: InferencePipeline.Options().connectPatience, maker.connect)
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

  /// The ring at work.
  var pipeline: InferencePipeline {
    guard let pipeline = maker.pipeline else { preconditionFailure("the first ring stands") }
    return pipeline
  }

  /// A sequence that goes on on the next ring where one is lost.
  func makeRunner() -> ReplayingRunner {
    ReplayingRunner(pipeline, recovery: recovery, connect: reconnect)
  }

  /// Makes a ring in the place of one that was lost.
  func reconnect(after error: any Error, patience: Duration) throws -> InferencePipeline {
    try maker.connect(after: error, patience: patience)
  }

  /// Times and memory of every node; of none where one is lost just then and the policy is not to
  /// end with it.
  func statistics() throws -> [NodeStatistics] {
    do {
      return try run { try pipeline.statistics() }
    } catch let fault as any Fault where fault.exitStatus == .unavailable {
      guard recovery.policy != .abort else { throw fault }
      return []
    }
  }

  private static func tell(_ event: RecoveryEvent, isLocal: Bool, _ common: CommonOptions) {
    // What is printed so far may end in the middle of a line.
    let begin = Console.outputIsTerminal && Console.errorIsTerminal ? "\n" : ""
    switch event {
    case .waiting(let fault, let time):
      let hope =
        isLocal
        ? "starting it again" : "waiting up to \(RingRecovery.describe(time)) for it to come back"
      common.note("\(begin)\(fault.happening); \(hope)")
    case .restored(let time, let count):
      let replayed = count > 0 ? "; computing \(Quantity.count(count, "token")) again" : ""
      common.note("all nodes are there after \(RingRecovery.describe(time))\(replayed)")
    }
  }

  /// The addresses given, or nil where the nodes are to be started here.
  private static func peers(
    of package: VerifiedPackage, _ path: String, _ place: PlaceOptions, _ others: [String]
  ) throws -> PeerList? {
    if let list = place.peers { return list }
    guard !others.isEmpty else { return nil }
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
