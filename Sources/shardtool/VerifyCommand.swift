import ArgumentParser
import CommandLineSupport
import ShardPackaging
import TensorCore
import TensorKernels

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Checks every byte of a bundle.",
    discussion: """
      Example: shardtool verify shards/bundles

      Takes a bundle, or the directory of one node. Names the first bad blob, tensor and offset. \
      With a trusted key, what that key has not signed is refused.
      """)

  @Argument(help: "A bundle, or a node's directory.")
  var bundle = "shards/bundles"

  @Option(help: "Check only what this node needs.")
  var node: String?

  @OptionGroup var trust: TrustOptions
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let package = try VerifiedPackage.open(
      directory: bundle, node: node, trust: try TrustRequirement(trust))
    let bar = common.makeProgressBar()
    defer { bar.finish() }
    let pool = WorkerPool(threads: threads.threads ?? WorkerPool.defaultThreadCount)
    let report = try package.verifyAll(pool: pool, progress: bar.handler)
    bar.finish()
    try package.recordSequence()
    trust.warn(report.doubts)
    if common.json {
      Console.write(report.json)
    } else {
      Console.write(report.text + "\n")
    }
  }
}
