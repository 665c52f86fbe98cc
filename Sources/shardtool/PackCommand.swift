import ArgumentParser
import CommandLineSupport
import ShardPackaging
import ShardPreparation
import TensorCore
import TensorKernels

struct PackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Packs a quantized checkpoint into bundles for the nodes of a plan.",
    discussion: """
      Example: shardtool pack

      Writes manifest.json, blobs/sha256/ and, for each node, nodes/NAME/, which is complete in \
      itself: copy it to the node. Packing again over a bundle keeps every blob that is still \
      right, so another plan rewrites no weights.

      With --sign, nodes that trust the key refuse what others have made or changed; shardtool \
      keygen makes keys.
      """)

  @Argument(help: ArgumentHelp("The quantized checkpoint's directory.", valueName: "quantized"))
  var checkpoint = "shards/quantized"

  @Option(help: "The plan that shardtool plan has written.")
  var plan = "shards/plan.json"

  @Option(name: .shortAndLong, help: "Where to write the bundle.")
  var output = "shards/bundles"

  @OptionGroup var release: ReleaseOptions
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let report = try Self.pack(
      checkpoint, plan: plan, output: output, release: try release.read(common),
      threads: threads.threads ?? WorkerPool.defaultThreadCount, common: common)
    if common.json {
      Console.write(report.json)
    } else {
      Console.write(PackText.render(report))
      common.note("bundle written to \(output)")
    }
  }

  /// Packs with a progress bar.
  static func pack(
    _ checkpoint: String, plan: String, output: String, release: BundleRelease, threads: Int,
    common: CommonOptions
  ) throws -> PackReport {
    let bar = common.makeProgressBar()
    defer { bar.finish() }
    return try PackPreparation.pack(
      checkpoint: checkpoint, plan: plan, to: output, threads: threads, release: release,
      progress: bar.handler)
  }
}
