import ArgumentParser
import CommandLineSupport
import Quantization
import ShardPlanning
import TensorCore

struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Decides which node runs which layers, and predicts memory and speed.",
    discussion: """
      Example: shardtool plan --nodes 3 --ram 8G

      The plan is printed as a table and written as JSON for shardtool pack. With a number of \
      nodes all take part; from a file of unequal nodes those may be left out that would make \
      it slower. Where the model does not fit, the error says which node lacks how much.
      """)

  @Argument(help: ArgumentHelp("A quantized checkpoint.", valueName: "quantized"))
  var checkpoint = "shards/quantized"

  @OptionGroup var plan: PlanOptions

  @Option(help: "Where to write the plan.")
  var output = "shards/plan.json"

  @OptionGroup var common: CommonOptions

  func run() throws {
    let cluster = try plan.cluster()
    let source = try CheckpointFootprint(QuantizedCheckpoint(directory: checkpoint))
    let planner = Planner(source: source, cluster: cluster)
    let report = try planner.report(try plan.request(for: source.facts))
    try report.plan.write(to: output)
    if common.json {
      Console.write(report.json)
    } else {
      Console.write(PlanText.render(report))
      common.note("plan written to \(output)")
    }
  }
}
