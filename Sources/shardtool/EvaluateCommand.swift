import ArgumentParser
import Checkpoints
import CommandLineSupport
import ShardPreparation
import StrictJSON
import TensorCore
import TensorKernels

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Compares a quantized checkpoint with the original on a text.",
    discussion: """
      Example: shardtool evaluate shards/quantized --against ~/models/mistral-7b --text book.txt

      Runs both models over the text, cut into pieces of --context places that each begin with \
      BOS, and prints the perplexity of both, how far the distributions of the next token lie \
      apart (Kullback-Leibler divergence) and how often the most probable token is the same, with \
      standard errors. One layer of each model is in memory at a time.
      """)

  @Argument(help: ArgumentHelp("The quantized checkpoint.", valueName: "quantized"))
  var quantized: String

  @Option(help: ArgumentHelp("The original checkpoint.", valueName: "checkpoint"))
  var against: String

  @Option(help: ArgumentHelp("A UTF-8 text.", valueName: "file"), completion: .file())
  var text: String?

  @Option(
    help: ArgumentHelp(
      "Token ids: an I32 tensor `ids` in a safetensors file, or numbers in a text.",
      valueName: "file"), completion: .file())
  var tokenFile: String?

  @Option(help: ArgumentHelp("Places of a piece, BOS among them.", valueName: "n"))
  var context: Int?

  @Option(
    help: ArgumentHelp(
      "The token before each piece (default: what the checkpoint names as BOS).",
      valueName: "id"))
  var bos: Int32?

  @Option(help: ArgumentHelp("Take the first n tokens of the text only.", valueName: "n"))
  var tokens: Int?

  @Flag(
    help: """
      Widen the weights to floats first, so that activations and caches lose nothing and weights \
      alone are compared; without it the model runs as shardrun runs it.
      """)
  var weightsOnly = false

  @Flag(help: "Also measure what each tensor alone does to the outputs.")
  var sensitivity = false

  @Option(
    help: ArgumentHelp("Draw the error behind each layer.", valueName: "file.svg"),
    completion: .file())
  var svg: String?

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  /// Attention over longer pieces would need more memory than the layers.
  private static let longestContext = 8192

  func validate() throws {
    guard (text != nil) != (tokenFile != nil) else {
      throw ValidationError("Give one of --text F and --token-file F.")
    }
    if let context, !(2...Self.longestContext).contains(context) {
      throw ValidationError(
        "--context takes a number from 2 to \(Self.longestContext), not \(context).")
    }
    if let tokens, tokens < 1 {
      throw ValidationError("--tokens takes a number from 1 up, not \(tokens).")
    }
  }

  func run() throws {
    try checkChart()
    let evaluator = try Evaluator(tested: quantized, against: against)
    let longest = evaluator.architecture.dimensions.contextLength
    let context = context ?? min(512, longest)
    guard context <= longest else {
      throw ValidationError("--context \(context) is more than the model's \(longest) places.")
    }
    let source = TextSource(directory: against, text: text, tokenFile: tokenFile, bos: bos)
    let ids = try source.ids()
    var options = Evaluator.Options(context: context)
    options.weightsOnly = weightsOnly
    options.measuresSensitivity = sensitivity
    let compute = try ComputeContext(threads: threads.threads ?? WorkerPool.defaultThreadCount)
    let bar = common.makeProgressBar()
    let result = try evaluator.run(
      Array(ids.prefix(tokens ?? ids.count)), bos: try source.beginning(), options: options,
      compute: compute, progress: bar.handler)
    bar.finish()
    if common.json {
      Console.write(result.json)
    } else {
      Console.write(EvaluationText.render(result))
    }
    if let svg {
      try Directory.writeAtomically(Array(ErrorChart(result).svg.utf8), to: svg)
      common.note("chart written to \(svg)")
    }
  }

  private func checkChart() throws {
    guard let svg else { return }
    try OutputPlace.check(svg, option: "--svg")
    guard Directory.isFile(svg) else { return }
    let file = try InputFile(path: svg)
    guard !ErrorChart.isChart(try file.bytes(at: 0, count: min(file.byteCount, 1000))) else {
      return
    }
    throw FileFault(
      code: "evaluate.foreignFile",
      message: "\(svg) exists and is no chart of an evaluation; give another --svg or remove it",
      exitStatus: .cannotCreate, path: svg)
  }
}

/// An evaluation as text.
enum EvaluationText {
  static func render(_ result: Evaluation) -> String {
    var table = TextTable([("", .left), ("value", .right), ("standard error", .right)])
    func add(_ name: String, _ estimate: Estimate, digits: Int, scale: Double = 1) {
      table.add([
        name, Quantity.fixed(scale * estimate.value, digits: digits),
        Quantity.fixed(scale * estimate.standardError, digits: digits),
      ])
    }
    add("perplexity of the original", result.referencePerplexity, digits: 5)
    add("perplexity", result.perplexity, digits: 5)
    add("ln of their ratio", result.logarithmDifference, digits: 6)
    add("mean KL divergence", result.divergence, digits: 7)
    table.add(["KL divergence, 99 % below", Quantity.fixed(result.divergence99, digits: 7), ""])
    add("same most probable token, %", result.sameTop, digits: 3, scale: 100)
    var text = table.rendered()
    text += "\(result.tokenCount) tokens in pieces of \(result.context) places"
    if let last = result.layerErrors.last {
      text +=
        "; hidden states behind the last layer differ by "
        + "\(Quantity.fixed(100 * last, digits: 3)) %"
    }
    text += "\n"
    if let sensitivity = result.sensitivity { text += "\n" + render(sensitivity) }
    return text
  }

  private static func render(_ tensors: [TensorSensitivity]) -> String {
    var table = TextTable([
      ("tensor", .left), ("scheme", .left), ("weights", .right), ("output error", .right),
      ("KL alone", .right),
    ])
    for tensor in tensors {
      table.add([
        tensor.name, tensor.scheme, "\(tensor.elementCount)",
        Quantity.fixed(100 * tensor.outputError, digits: 3) + " %",
        tensor.divergence.map { Quantity.fixed($0, digits: 7) } ?? "",
      ])
    }
    return table.rendered()
  }
}
