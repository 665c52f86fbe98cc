import ArgumentParser
import Checkpoints
import CommandLineSupport
import ModelArchitectures
import StrictJSON
import TensorCore

/// `shardbench synth`: a checkpoint of any size with made-up weights.
struct SynthCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "synth",
    abstract: "Writes a checkpoint of a given shape with synthetic fp16 weights.",
    discussion: """
      The checkpoint has the tensors, names and shapes that config.json asks for, and weights \
      drawn from a normal distribution, so that quantizing, planning, packing and running it \
      cost what a real model of that shape costs. Its text is nonsense.
      """)

  @Option(help: "A config.json that describes the shape.")
  var config: String

  @Option(help: "The directory to write; it must be new or empty.")
  var output: String

  @Option(help: "Seed of the weights.")
  var seed: UInt64 = 1

  @OptionGroup var common: CommonOptions

  func run() throws {
    let bytes = try InputFile.contents(of: config, limit: 16 << 20)
    guard let configuration = try? JSONParsing().parse(bytes).object else {
      throw ValidationError("\(config) is not a JSON object.")
    }
    let architecture = try ArchitectureRegistry.architecture(for: configuration)
    try Directory.create(output)
    guard try Directory.names(in: output).isEmpty else {
      throw ValidationError("\(output) is not empty; give a new directory.")
    }
    let bar = common.makeProgressBar()
    let synthesis = SyntheticCheckpoint(architecture: architecture, seed: seed)
    let total = try synthesis.write(to: output, progress: bar.handler)
    try Directory.writeAtomically(bytes, to: output + "/config.json")
    bar.finish()
    if common.json {
      Console.write([
        "schema": "shardbench.synth/1", "directory": .string(output),
        "weight_bytes": JSONValue(total),
      ])
    } else {
      Console.write("\(Quantity.describe(bytes: total)) of weights written to \(output)\n")
    }
  }
}
