import ArgumentParser
import CommandLineSupport
import ShardPackaging
import TensorKernels

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Checks every byte of a bundle.",
    discussion: "Names the first bad blob, tensor and offset.")

  @OptionGroup var bundle: BundleArgument

  @Option(help: "Check only what this node needs.")
  var node: String?

  @OptionGroup var trust: TrustOptions
  @OptionGroup var compute: ThreadOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let package = try VerifiedPackage.open(
      directory: bundle.path, node: node, trust: try TrustRequirement(trust))
    let bar = common.makeProgressBar()
    let pool = WorkerPool(threads: compute.threads ?? WorkerPool.defaultThreadCount)
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
