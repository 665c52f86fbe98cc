import ArgumentParser
import Checkpoints
import CommandLineSupport
import ShardPlanning
import ShardPreparation
import StrictJSON
import TensorCore
import TensorKernels

struct PrepareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prepare",
    abstract: "Quantizes, plans and packs in one go.",
    discussion: """
      Example: shardtool prepare ~/models/mistral-7b --bits 4 --nodes 3 --ram 8G

      The same as quantize, plan and pack one after the other. A run that was killed goes on \
      where it stood when the same command is given again.
      """)

  @Argument(help: ArgumentHelp("The checkpoint's directory.", valueName: "checkpoint"))
  var checkpoint = "."

  @OptionGroup var recipe: RecipeOptions
  @OptionGroup var plan: PlanOptions

  @Option(
    name: .shortAndLong,
    help: "Where to write: quantized, plan.json and bundles appear in this directory.")
  var output = "shards"

  @OptionGroup var release: ReleaseOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let release = try release.read(common)
    // What cannot be planned is told before the long work begins.
    let cluster = try plan.cluster(common)
    let source = try Checkpoint(directory: checkpoint)
    let quantizer = try QuantizeCommand.quantizer(source, recipe: recipe, common: common)
    let footprint = try CheckpointFootprint(
      configuration: source.configuration, tensors: quantizer.storedTensors,
      tokenizerFiles: source.tokenizerFiles, in: source.directory)
    let planned = try Planner(source: footprint, cluster: cluster)
      .report(try plan.request(for: footprint.facts))

    let quantizedPath = "\(output)/quantized"
    let planPath = "\(output)/plan.json"
    let bundlePath = "\(output)/bundles"
    let threads = WorkerPool.defaultThreadCount

    let quantized = try QuantizeCommand.quantize(
      quantizer, output: quantizedPath, threads: threads, common: common)
    if !common.json { Console.write(QuantizeText.render(quantized) + "\n") }

    try planned.plan.write(to: planPath)
    if !common.json { Console.write(PlanText.render(planned) + "\n") }

    let packed = try PackCommand.pack(
      quantizedPath, plan: planPath, output: bundlePath, release: release, threads: threads,
      common: common)
    if common.json {
      Console.write([
        "schema": "shardtool.prepare/1", "quantization": quantized.json, "plan": planned.json,
        "bundle": packed.json,
      ])
    } else {
      Console.write(PackText.render(packed))
      common.note("bundle written to \(bundlePath)")
    }
  }
}
