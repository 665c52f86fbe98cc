import ArgumentParser
import Checkpoints
import CommandLineSupport
import ShardPackaging
import ShardPreparation
import TensorCore
import TensorKernels

struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Brings in a GGUF file, or a bundle that was exported and copied.",
    discussion: """
      Example: shardtool import mistral-7b.Q4_K_M.gguf --output shards/quantized
               skopeo copy docker://registry.example.org/model:node-0 oci:copy:node-0
               shardtool import copy --output node-0

      A GGUF file becomes a quantized checkpoint for plan and pack. Its weights stay as they are, \
      byte for byte; of a file in several parts, give the first. So does a checkpoint that GPTQ \
      has quantized with symmetric codes of 4 bits.

      An OCI image layout (shardtool export --format oci) becomes a bundle again. One image gives \
      that node's directory; images of all nodes give the bundle. Every byte is verified.
      """)

  @Argument(help: "A GGUF file, or the directory of a GPTQ checkpoint or an image layout.")
  var source: String

  @Option(help: "Import only this node of an image layout.")
  var node: String?

  @Option(
    name: .shortAndLong,
    help: "Where to write (default: shards/quantized; shards/bundles of a layout).")
  var output: String?

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let bar = common.makeProgressBar()
    defer { bar.finish() }
    let pool = WorkerPool(threads: threads.threads ?? WorkerPool.defaultThreadCount)
    guard Directory.exists(source), !Directory.isFile(source + "/config.json") else {
      if node != nil {
        throw ValidationError("--node goes with an image layout, which \(source) is not")
      }
      return try importWeights(pool, bar)
    }
    let target = output ?? "shards/bundles"
    let summary = try ImageImport.restore(
      source, node: node, to: target, pool: pool, progress: bar.handler)
    bar.finish()
    guard !common.json else { return Console.write(summary.json) }
    Console.write(
      "\(target) is sound: \(summary.nodes.joined(separator: ", ")), "
        + "\(Quantity.count(summary.blobCount, "blob")), "
        + "\(Quantity.describe(bytes: summary.byteCount)), every digest matches\n")
  }

  private func importWeights(_ pool: WorkerPool, _ bar: ProgressBar) throws {
    let target = output ?? "shards/quantized"
    let summary: ImportSummary
    if Directory.exists(source) {
      let checkpoint = try Checkpoint(directory: source)
      guard GPTQImport.isOne(checkpoint.configuration) else {
        throw ValidationError(
          "\(source) is a checkpoint that GPTQ has not quantized; shardtool quantize takes it")
      }
      summary = try GPTQImport(checkpoint).run(to: target, pool: pool, progress: bar.handler)
    } else {
      let job = try GGUFImport(path: source)
      for warning in job.warnings { common.note("warning: \(warning)") }
      summary = try job.run(to: target, pool: pool, progress: bar.handler)
    }
    bar.finish()
    guard !common.json else { return Console.write(summary.json) }
    var table = TextTable([
      ("scheme", .left), ("tensors", .right), ("weights", .right), ("bytes", .right),
      ("bits/weight", .right),
    ])
    for scheme in summary.schemes {
      table.add([
        scheme.name, "\(scheme.tensors)", "\(scheme.weights)",
        Quantity.describe(bytes: scheme.bytes),
        Quantity.fixed(8 * Double(scheme.bytes) / Double(max(1, scheme.weights)), digits: 3),
      ])
    }
    Console.write(table.rendered())
    common.note("quantized checkpoint written to \(target)")
  }
}
