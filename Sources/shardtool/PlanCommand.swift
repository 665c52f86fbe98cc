import ArgumentParser
import CommandLineSupport
import Quantization
import ShardPlanning
import StrictJSON
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

  @Option(
    name: .customLong("from"),
    help: ArgumentHelp(
      "The plan in use: among equally fast plans one that ships little is taken.",
      valueName: "plan"))
  var previous: String?

  @Option(help: ArgumentHelp("Where to draw the plan as SVG.", valueName: "file"))
  var svg: String?

  @Option(
    help: ArgumentHelp(
      "What shardrun bench --json measured with these nodes: speeds are corrected by it.",
      valueName: "result"))
  var calibrate: String?

  @Option(
    name: .customLong("write-nodes"),
    help: ArgumentHelp(
      "Where to keep the nodes and links that were planned for.", valueName: "file"))
  var nodesOutput: String?

  @OptionGroup var common: CommonOptions

  func validate() throws {
    for (name, value) in [("--from", previous), ("--calibrate", calibrate)] where value == "" {
      throw ValidationError("\(name) takes the path of a file, not an empty one.")
    }
  }

  func run() throws {
    try PlanOutputs(plan: output, nodes: nodesOutput, svg: svg).check()
    var cluster = try plan.cluster(common)
    let source = try CheckpointFootprint(QuantizedCheckpoint(directory: checkpoint))
    var request = try plan.request(for: source.facts)
    if let calibrate {
      let calibration = try Calibration(
        cluster, by: try RunMeasurement.read(from: calibrate),
        footprint: source.footprint(for: request.settings), source: calibrate)
      cluster = calibration.cluster
      for finding in calibration.findings { common.note(finding) }
    }
    let planner = Planner(source: source, cluster: cluster)
    request.previous = try previous.map { try ShardPlan.read(from: $0) }
    let report = try planner.report(request)
    try report.plan.write(to: output)
    if let nodesOutput { try cluster.write(to: nodesOutput) }
    if let svg {
      try Directory.writeAtomically(Array(PlanPicture(report.plan).svg.utf8), to: svg)
    }
    if common.json {
      Console.write(report.json)
    } else {
      Console.write(PlanText.render(report))
      common.note("plan written to \(output)")
    }
  }
}
