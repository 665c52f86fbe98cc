import ArgumentParser
import CommandLineSupport
import ShardPlanning
import StrictJSON
import TensorCore

/// `shardbench plan`: how long the search for the best plan takes.
struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Measures how long planning takes for many different nodes.",
    discussion: """
      Each cluster is of different machines, for a model of layers that all differ and that needs \
      most of the machines; --links gives each pair of them links of its own, which is the most \
      there is to search. The clusters are the same wherever they are made.
      """)

  @Option(help: "Nodes of a cluster.")
  var nodes = 16

  @Option(help: "Layers of the model.")
  var layers = 80

  @Option(help: "Clusters that are planned for, one after the other.")
  var clusters = 10

  @Flag(help: "Let each pair of nodes have links of its own.")
  var links = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    for (name, value, most) in [
      ("--nodes", nodes, Cluster.maximumNodeCount), ("--layers", layers, Planner.maximumLayerCount),
      ("--clusters", clusters, 10_000),
    ] where !(1...most).contains(value) {
      throw ValidationError("\(name) takes a number from 1 to \(most), not \(value).")
    }
  }

  func run() throws {
    let benchmark = PlanBenchmark(nodes: nodes, layers: layers, ownLinks: links)
    let samples = try PlanObjective.allCases.map { try benchmark.measure($0, seeds: 1...clusters) }
    guard !common.json else {
      return Console.write([
        "schema": "shardbench.plan/1", "nodes": JSONValue(nodes), "layers": JSONValue(layers),
        "links": .bool(links), "objectives": .array(samples.map(\.json)),
      ])
    }
    var table = TextTable([
      ("best", .left), ("nodes taken", .left), ("median ms", .right), ("most ms", .right),
    ])
    for sample in samples { table.add(sample.cells) }
    Console.write(
      "\(Quantity.count(clusters, "cluster")) of \(Quantity.count(nodes, "node")), "
        + "\(Quantity.count(layers, "layer"))\n" + table.rendered())
  }
}

extension PlanBenchmark.Sample {
  private var most: Double { seconds.max() ?? 0 }

  fileprivate var cells: [String] {
    [objective.rawValue, "\(taken.min() ?? 0) to \(taken.max() ?? 0)"]
      + [Samples.median(seconds), most].map { Quantity.fixed($0 * 1e3, digits: 0) }
  }

  fileprivate var json: JSONValue {
    [
      "objective": .string(objective.rawValue), "seconds": .array(seconds.map { .double($0) }),
      "nodes_taken": .array(taken.map { JSONValue($0) }),
    ]
  }
}
