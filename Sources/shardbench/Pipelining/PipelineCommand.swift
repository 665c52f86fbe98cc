import ArgumentParser
import CommandLineSupport
import ShardRuntime
import StrictJSON
import TensorCore
import TensorKernels

/// `shardbench pipeline`: what several sequences at once gain.
struct PipelineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pipeline",
    abstract: "Measures one sequence against several at once through all nodes of a bundle.",
    discussion: """
      All nodes run in this process, with links over TCP, on the real model. Where they share \
      cores, one keeps the other from computing: --pass-time lets every pass of a node take at \
      least so long, as on machines of their own. Each sequence must have the same tokens either \
      way. The bound is what the times of the passes allow: their sum by the longest of them, and \
      no more than there are sequences.
      """)

  @Argument(help: "A bundle directory of several nodes.", completion: .directory)
  var bundle: String

  @Option(help: "Sequences at once.")
  var sequences = 3

  @Option(
    name: .customLong("pass-time"),
    help: ArgumentHelp("What a pass of a node takes at least, such as 5ms.", valueName: "time"))
  var passTime = "5ms"

  @Option(help: "Tokens of each sequence.")
  var tokens = 64

  @Option(help: "Compute threads of each node.")
  var threads = 1

  @OptionGroup var common: CommonOptions

  func validate() throws {
    for (name, value, range) in [
      ("--sequences", sequences, 2...64), ("--tokens", tokens, 2...100_000),
      ("--threads", threads, 1...256),
    ] where !range.contains(value) {
      throw ValidationError(
        "\(name) takes a number from \(range.lowerBound) to \(range.upperBound), not \(value).")
    }
    guard let seconds = Quantity.seconds(passTime), (0...10).contains(seconds) else {
      throw ValidationError("--pass-time takes a time up to 10s such as 5ms, not \"\(passTime)\".")
    }
  }

  func run() throws {
    let time = Quantity.seconds(passTime) ?? 0
    let benchmark = try PipelineBenchmark(
      bundle: bundle, sequences: sequences, threads: threads,
      passTime: .nanoseconds(Int64(time * 1e9)))
    _ = try benchmark.measure(prompts: sequences, width: sequences, tokens: 4)
    _ = try benchmark.passSeconds()
    let one = try benchmark.measure(prompts: sequences, width: 1, tokens: tokens)
    let passes = try benchmark.passSeconds()
    let many = try benchmark.measure(prompts: sequences, width: sequences, tokens: tokens)
    let sum = passes.map(\.seconds).reduce(0, +)
    let longest = passes.map(\.seconds).max() ?? 0
    report(
      one, many, passes, bound: longest > 0 ? min(sum / longest, Double(sequences)) : 1)
  }

  private func report(
    _ one: PipelineBenchmark.Sample, _ many: PipelineBenchmark.Sample,
    _ passes: [(node: String, seconds: Double)], bound: Double
  ) {
    let gain = one.tokensPerSecond > 0 ? many.tokensPerSecond / one.tokensPerSecond : 0
    guard !common.json else {
      return Console.write([
        "schema": "shardbench.pipeline/1", "sequences": JSONValue(sequences),
        "tokens": JSONValue(tokens),
        "tokens_per_second_of_one": .double(one.tokensPerSecond),
        "tokens_per_second": .double(many.tokensPerSecond), "gain": .double(gain),
        "bound": .double(bound), "same_tokens": .bool(one.tokens == many.tokens),
        "nodes": .array(
          passes.map { ["name": .string($0.node), "pass_seconds": .double($0.seconds)] }),
      ])
    }
    var table = TextTable([("node", .left), ("ms a pass", .right)])
    for pass in passes {
      table.add([pass.node, Quantity.fixed(pass.seconds * 1000, digits: 3)])
    }
    func rate(_ sample: PipelineBenchmark.Sample) -> String {
      "\(Quantity.count(sample.sequences, "sequence")): "
        + "\(Quantity.fixed(sample.tokensPerSecond, digits: 1)) tokens/s"
    }
    Console.write(
      table.rendered() + "\n\(rate(one))\n\(rate(many)), "
        + "\(Quantity.fixed(gain, digits: 2)) times as many (at most "
        + "\(Quantity.fixed(bound, digits: 2))), "
        + (one.tokens == many.tokens ? "the same tokens\n" : "OTHER TOKENS\n"))
  }
}
