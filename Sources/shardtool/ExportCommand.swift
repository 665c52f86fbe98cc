import ArgumentParser
import Checkpoints
import CommandLineSupport
import Foundation
import ShardPackaging
import ShardPreparation
import TensorCore
import TensorKernels

struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Writes a model in a format that other programs carry or run.",
    discussion: """
      Example: shardtool export shards/bundles --format oci --output shards/oci
               skopeo copy oci:shards/oci:node-0 docker://registry.example.org/model:node-0
               shardtool export ~/models/mistral-7b --format gguf --type q4_k

      oci: an OCI image layout with an image for each node of a bundle, for registries and their \
      tools. shardtool import makes a bundle of it again, wherever it was copied to.

      gguf: a file that llama.cpp runs, of a checkpoint, a quantized checkpoint or a bundle. \
      --type says what weights become: f16, q8_0, q4_0, q4_k, q6_k, or keep for what import has \
      brought in.
      """)

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case oci, gguf
  }

  @Argument(help: "A bundle or a node's directory; for gguf also a checkpoint, quantized or not.")
  var source = "shards/bundles"

  @Option(help: "The format: oci or gguf.")
  var format: Format

  @Option(help: "Export only this node (oci).")
  var node: String?

  @Option(help: "What weights become (gguf): keep, f16, q8_0 (default), q4_0, q4_k or q6_k.")
  var type: GGUFExport.WeightType?

  @Option(
    name: .shortAndLong, help: "Where to write (default: shards/oci, shards/model.gguf).")
  var output: String?

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if format == .oci, type != nil { throw ValidationError("--type goes with --format gguf") }
    if format == .gguf, node != nil { throw ValidationError("--node goes with --format oci") }
  }

  func run() throws {
    switch format {
    case .oci: try exportImages()
    case .gguf: try exportWeights()
    }
  }

  private func exportWeights() throws {
    let target = output ?? "shards/model.gguf"
    try refuseForeignFile(target)
    if output == nil { try Directory.create("shards") }
    let job = try GGUFExport(source, type: type ?? .q8_0)
    for note in job.notes { common.note("note: \(note)") }
    let bar = common.makeProgressBar()
    defer { bar.finish() }
    let pool = WorkerPool(threads: threads.threads ?? WorkerPool.defaultThreadCount)
    let summary = try job.run(to: target, pool: pool, progress: bar.handler)
    bar.finish()
    guard !common.json else { return Console.write(summary.json) }
    for type in summary.types {
      Console.write(
        "\(type.name): \(Quantity.count(type.tensors, "tensor")), "
          + "\(Quantity.describe(bytes: type.bytes))\n")
    }
    common.note("\(Quantity.describe(bytes: summary.byteCount)) written to \(target)")
  }

  /// A GGUF file replaces a GGUF file, and nothing else.
  private func refuseForeignFile(_ target: String) throws {
    guard FileManager.default.fileExists(atPath: target) || Directory.isLink(target) else { return }
    guard Directory.isFileItself(target), GGUFFile.isOne(path: target) else {
      throw FileFault(
        code: "export.foreignFile",
        message: "\(target) exists and is no GGUF file; give another --output or remove it",
        exitStatus: .cannotCreate, path: target)
    }
  }

  private func exportImages() throws {
    let target = output ?? "shards/oci"
    let bar = common.makeProgressBar()
    defer { bar.finish() }
    let pool = WorkerPool(threads: threads.threads ?? WorkerPool.defaultThreadCount)
    let summary = try ImageExport.export(
      source, node: node, to: target, pool: pool, progress: bar.handler)
    bar.finish()
    guard !common.json else { return Console.write(summary.json) }
    for image in summary.images {
      Console.write(
        "\(target):\(image.node) \(image.digest) "
          + "\(Quantity.describe(bytes: image.byteCount))\n")
    }
    common.note(
      "\(Quantity.count(summary.images.count, "image")) with "
        + "\(Quantity.count(summary.blobCount, "blob")), "
        + "\(Quantity.describe(bytes: summary.byteCount)), written to \(target)")
  }
}

extension GGUFExport.WeightType: ExpressibleByArgument {}
