import ArgumentParser
import CommandLineSupport
import ShardPackaging
import TensorCore
import TensorKernels

struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Writes a bundle in a format that other programs carry or run.",
    discussion: """
      Example: shardtool export shards/bundles --format oci --output shards/oci
               skopeo copy oci:shards/oci:node-0 docker://registry.example.org/model:node-0

      oci: an OCI image layout with an image for each node, for registries and their tools. \
      shardtool import makes a bundle of it again, wherever it was copied to.
      """)

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case oci
  }

  @Argument(help: "A bundle, or a node's directory.")
  var bundle = "shards/bundles"

  @Option(help: "The format: oci.")
  var format: Format

  @Option(help: "Export only this node.")
  var node: String?

  @Option(name: .shortAndLong, help: "Where to write.")
  var output = "shards/oci"

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    switch format {
    case .oci: try exportImages()
    }
  }

  private func exportImages() throws {
    let bar = common.makeProgressBar()
    defer { bar.finish() }
    let pool = WorkerPool(threads: threads.threads ?? WorkerPool.defaultThreadCount)
    let summary = try ImageExport.export(
      bundle, node: node, to: output, pool: pool, progress: bar.handler)
    bar.finish()
    guard !common.json else { return Console.write(summary.json) }
    for image in summary.images {
      Console.write(
        "\(output):\(image.node) \(image.digest) "
          + "\(Quantity.describe(bytes: image.byteCount))\n")
    }
    common.note(
      "\(Quantity.count(summary.images.count, "image")) with "
        + "\(Quantity.count(summary.blobCount, "blob")), "
        + "\(Quantity.describe(bytes: summary.byteCount)), written to \(output)")
  }
}
