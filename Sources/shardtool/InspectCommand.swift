import ArgumentParser
import Checkpoints
import CommandLineSupport
import ModelArchitectures
import Quantization
import ShardPackaging
import ShardPlanning
import ShardPreparation
import StrictJSON
import TensorCore
import TensorKernels

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Describes a checkpoint, quantized checkpoint, plan or bundle.",
    discussion: """
      Example: shardtool inspect ~/models/mistral-7b

      Checks what it describes: of a checkpoint that all tensors are there in the right shapes \
      and all weights are numbers, of a bundle manifest and lengths (verify checks every byte). \
      Of a single .safetensors or .gguf file only the format is judged.
      """)

  @Argument(help: "A directory, a plan, a safetensors or a GGUF file.")
  var path: String

  @Flag(help: "Do not read weights, so that a large checkpoint takes no time.")
  var headersOnly = false

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let description = try describe()
    if common.json {
      Console.write(description.json)
    } else {
      Console.write(description.text)
    }
  }

  private func describe() throws -> Description {
    guard Directory.exists(path) else { return try describeFile() }
    func has(_ name: String) -> Bool { Directory.isFile("\(path)/\(name)") }
    if has(BundleFiles.manifest) {
      return try .bundle(VerifiedPackage.open(directory: path))
    }
    let checkpoint = try Checkpoint(directory: path)
    guard QuantizationRecord.isPresent(in: checkpoint.configuration) else {
      return .checkpoint(try inspect(checkpoint), weightsChecked: !headersOnly)
    }
    return try .quantized(QuantizedCheckpoint(checkpoint))
  }

  private func describeFile() throws -> Description {
    if GGUFFile.isOne(path: path) || path.hasSuffix(".gguf") {
      return .gguf(try GGUFFile(path: path))
    }
    guard path.hasSuffix(".json") else { return .safetensors(try SafetensorsFile(path: path)) }
    return .plan(try ShardPlan.read(from: path), path: path)
  }

  private func inspect(_ checkpoint: Checkpoint) throws -> CheckpointInspection {
    let inspection = try CheckpointInspection(checkpoint)
    for warning in inspection.warnings { common.note("warning: \(warning)") }
    guard !headersOnly else { return inspection }
    let bar = common.makeProgressBar()
    defer { bar.finish() }
    try inspection.checkWeights(
      pool: WorkerPool(threads: threads.threads ?? WorkerPool.defaultThreadCount),
      progress: bar.handler)
    return inspection
  }
}
