import ArgumentParser
import Checkpoints
import CommandLineSupport
import Quantization
import ShardPreparation
import StrictJSON
import TensorCore
import TensorKernels

struct QuantizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Makes a checkpoint's weights 4 or 8 bits wide.",
    discussion: """
      Example: shardtool quantize ~/models/mistral-7b --bits 4

      Takes a Hugging Face checkpoint (config.json, *.safetensors, tokenizer files) and writes a \
      quantized one, with a report of the error of every tensor. A run that was killed goes on \
      where it stood when the same command is given again.
      """)

  @Argument(help: ArgumentHelp("The checkpoint's directory.", valueName: "checkpoint"))
  var checkpoint = "."

  @OptionGroup var recipe: RecipeOptions

  @Option(name: .shortAndLong, help: "Where to write the quantized checkpoint.")
  var output = "shards/quantized"

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let report = try Self.quantize(
      try Self.quantizer(try Checkpoint(directory: checkpoint), recipe: recipe, common: common),
      output: output, threads: threads.threads ?? WorkerPool.defaultThreadCount, common: common)
    if common.json {
      Console.write(report.json)
    } else {
      Console.write(QuantizeText.render(report))
      common.note("quantized checkpoint written to \(output)")
    }
  }

  /// Resolves every tensor, and prints what is odd in the checkpoint.
  static func quantizer(
    _ checkpoint: Checkpoint, recipe: RecipeOptions, common: CommonOptions
  ) throws -> Quantizer {
    let quantizer = try Quantizer(checkpoint, recipe: try recipe.read())
    for warning in quantizer.warnings { common.note("warning: \(warning)") }
    return quantizer
  }

  /// Quantizes with a progress bar.
  static func quantize(
    _ quantizer: Quantizer, output: String, threads: Int, common: CommonOptions
  ) throws -> QuantizeReport {
    let bar = common.makeProgressBar()
    defer { bar.finish() }
    return try quantizer.run(
      to: output, pool: WorkerPool(threads: threads), progress: bar.handler)
  }
}

/// How many bits, for `quantize` and `prepare`.
struct RecipeOptions: ParsableArguments {
  @Option(help: "Bits per weight: 4, 8, or 16 to pass weights through as they are.")
  var bits: Int?

  @Option(
    help: ArgumentHelp(
      "One scheme for all matrices: \(Schemes.all.map(\.name).joined(separator: ", ")).",
      valueName: "name"))
  var scheme: String?

  @Option(
    help: ArgumentHelp(
      "A file that chooses a scheme for each role, as in manifests/recipes.", valueName: "file"))
  var recipe: String?

  func validate() throws {
    let given = [bits != nil, scheme != nil, recipe != nil].filter { $0 }.count
    guard given <= 1 else {
      throw ValidationError("Give one of --bits, --scheme and --recipe.")
    }
    if let bits, Recipe.bits(bits) == nil {
      throw ValidationError("--bits takes 4, 8 or 16, not \(bits).")
    }
    if let scheme, !Schemes.all.contains(where: { $0.name == scheme }) {
      let names = Schemes.all.map(\.name).joined(separator: ", ")
      throw ValidationError("There is no scheme named \"\(scheme)\"; choose one of \(names).")
    }
  }

  /// The recipe asked for; four bits where nothing is said.
  func read() throws -> Recipe {
    if let recipe { return try Recipe.read(from: recipe) }
    if let scheme { return try Recipe.uniform(scheme) }
    return Recipe.bits(bits ?? 4) ?? .bits4
  }
}

/// A report as text.
enum QuantizeText {
  /// Totals by scheme, then the tensors that lost most.
  static func render(_ report: QuantizeReport) -> String {
    var table = TextTable([
      ("scheme", .left), ("tensors", .right), ("weights", .right), ("stored", .right),
      ("bits/weight", .right), ("relative error", .right), ("SNR", .right),
    ])
    for total in report.totals {
      table.add(
        [total.scheme, "\(total.tensorCount)"]
          + figures(
            weights: total.elementCount, bytes: total.byteCount, bits: total.bitsPerWeight)
          + losses(
            relative: total.relativeError, power: total.power, errorPower: total.errorPower))
    }
    table.add(
      ["all", "\(report.entries.count)"]
        + figures(
          weights: report.elementCount, bytes: report.byteCount, bits: report.bitsPerWeight))
    let worst = report.entries.max { $0.relativeError < $1.relativeError }
    var text = table.rendered()
    text += "from \(Quantity.describe(bytes: report.sourceByteCount))"
    if let worst, worst.errorPower > 0 {
      let loss = losses(
        relative: worst.relativeError, power: worst.power, errorPower: worst.errorPower)
      text += "; largest error in \(worst.name): \(loss[0]), \(loss[1])"
    }
    return text + "\n"
  }

  private static func figures(weights: Int, bytes: Int, bits: Double) -> [String] {
    ["\(weights)", Quantity.describe(bytes: bytes), Quantity.fixed(bits, digits: 3)]
  }

  private static func losses(relative: Double, power: Double, errorPower: Double) -> [String] {
    guard let decibels = QuantizeReport.decibels(power: power, errorPower: errorPower) else {
      return ["none", ""]
    }
    return [
      Quantity.fixed(100 * relative, digits: 3) + " %",
      Quantity.fixed(decibels, digits: 1) + " dB",
    ]
  }
}
