import ArgumentParser
import CommandLineSupport
import ShardPackaging
import ShardRuntime
import TensorCore
import TensorKernels

/// The bundle that a benchmark loads, and how it computes.
struct BenchBundle: ParsableArguments {
  @Argument(
    help: "A bundle directory or nodes/NAME/ of one.", completion: .directory)
  var bundle: String

  @OptionGroup var compute: ThreadOptions

  func open() throws -> VerifiedPackage { try VerifiedPackage.open(directory: bundle) }

  func makeContext() throws -> ComputeContext {
    try ComputeContext(threads: compute.threads ?? WorkerPool.defaultThreadCount)
  }

  /// A shard that runs without others.
  ///
  /// Throws: a fault for a bundle of several nodes, and what loading throws.
  func loadWhole() throws -> LoadedShard {
    let package = try open()
    guard package.nodeNames.count == 1 else {
      throw SeveralNodesFault(bundle: bundle, nodes: package.nodeNames)
    }
    return try LoadedShard(package: package, compute: try makeContext())
  }
}

/// A model that does not run in one process.
struct SeveralNodesFault: Fault {
  let code = "bench.severalNodes"
  let message: String
  let exitStatus = ExitStatus.usage
  let context: [String: String]

  init(bundle: String, nodes: [String]) {
    message =
      "\(bundle) is divided among \(nodes.joined(separator: ", ")); pack it for one node, or "
      + "measure all of them with shardrun bench"
    context = ["file": bundle]
  }
}
