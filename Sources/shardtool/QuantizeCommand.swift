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

  @OptionGroup var calibration: CalibrationOptions
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let source = try Checkpoint(directory: checkpoint)
    let threads = threads.threads ?? WorkerPool.defaultThreadCount
    let report = try Self.quantize(
      try Self.quantizer(
        source, recipe: recipe, calibration: try calibration.read(for: source), threads: threads,
        common: common),
      output: output, threads: threads, common: common)
    if common.json {
      Console.write(report.json)
    } else {
      Console.write(QuantizeText.render(report))
      common.note("quantized checkpoint written to \(output)")
    }
  }

  /// Resolves every tensor, and prints what is odd in the checkpoint.
  static func quantizer(
    _ checkpoint: Checkpoint, recipe: RecipeOptions, calibration: CalibrationText? = nil,
    threads: Int = WorkerPool.defaultThreadCount, common: CommonOptions
  ) throws -> Quantizer {
    let bar = common.makeProgressBar()
    let allocation = try recipe.targetBitsPerWeight.map { target in
      try SchemeAllocation(
        checkpoint, bitsPerWeight: target, effort: recipe.effort, calibration: calibration,
        threads: threads, progress: bar.handler)
    }
    bar.finish()
    let quantizer = try Quantizer(
      checkpoint, recipe: try recipe.read(), effort: recipe.effort, calibration: calibration,
      allocation: allocation)
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

  @Option(
    name: .customLong("target-bpw"),
    help: ArgumentHelp(
      "Choose 4 or 8 bits for each matrix by what it loses, within so many bits a weight.",
      valueName: "bits"))
  var targetBitsPerWeight: Double?

  @Option(
    help: "How long to search for good codes: fast, as quick as the disk; default; or best.")
  var effort = Effort.standard

  func validate() throws {
    let given = [bits != nil, scheme != nil, recipe != nil, targetBitsPerWeight != nil]
    guard given.count(where: { $0 }) <= 1 else {
      throw ValidationError("Give one of --bits, --scheme, --recipe and --target-bpw.")
    }
    if let target = targetBitsPerWeight, !(target > 0 && target <= 16) {
      throw ValidationError("--target-bpw takes a number of bits up to 16, not \(target).")
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
    if let target = targetBitsPerWeight {
      return try Recipe(
        name: "q4 and q8 in \(Quantity.fixed(target, digits: 3)) bits", standard: Schemes.q4.name)
    }
    return Recipe.bits(bits ?? 4) ?? .bits4
  }
}

extension Effort: ExpressibleByArgument {}

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
    text += "\n"
    if let calibration = gains(report) { text += calibration + "\n" }
    return text
  }

  /// What calibration has won, in one line.
  private static func gains(_ report: QuantizeReport) -> String? {
    let gains = report.entries.compactMap(\.calibration)
    guard !gains.isEmpty else { return nil }
    let before = gains.reduce(0) { $0 + $1.dataFreeError * $1.dataFreeError }
    let after = gains.reduce(0) { $0 + $1.error * $1.error }
    let share = before > 0 ? 100 * (1 - after / before) : 0
    let counts = CalibrationGain.Method.allCases.map { method in
      "\(method.rawValue) \(gains.count { $0.method == method })"
    }
    return "calibration lowers the squared errors of outputs on held-out text by "
      + "\(Quantity.fixed(share, digits: 1)) %; tensors: \(counts.joined(separator: ", "))"
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
