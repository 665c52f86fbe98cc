import ArgumentParser
import CommandLineSupport
import ShardPackaging
import TensorCore
import TensorKernels

struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Makes a bundle of what was exported and copied.",
    discussion: """
      Example: skopeo copy docker://registry.example.org/model:node-0 oci:copy:node-0
               shardtool import copy --output node-0

      Takes an OCI image layout (shardtool export --format oci). One image gives that node's \
      directory; images of all nodes give the bundle. Every byte is verified.
      """)

  @Argument(help: "The directory of the image layout.")
  var source: String

  @Option(help: "Import only this node.")
  var node: String?

  @Option(name: .shortAndLong, help: "Where to write the bundle.")
  var output = "shards/bundles"

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let bar = common.makeProgressBar()
    defer { bar.finish() }
    let pool = WorkerPool(threads: threads.threads ?? WorkerPool.defaultThreadCount)
    let summary = try ImageImport.restore(
      source, node: node, to: output, pool: pool, progress: bar.handler)
    bar.finish()
    guard !common.json else { return Console.write(summary.json) }
    Console.write(
      "\(output) is sound: \(summary.nodes.joined(separator: ", ")), "
        + "\(Quantity.count(summary.blobCount, "blob")), "
        + "\(Quantity.describe(bytes: summary.byteCount)), every digest matches\n")
  }
}
