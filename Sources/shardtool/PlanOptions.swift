import ArgumentParser
import CommandLineSupport
import ShardPlanning
import TensorCore

/// What a plan is made for: machines, context, objective.
struct PlanOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "How many equal nodes there are (default: 1), or a file that lists unequal ones.",
      valueName: "count|file"))
  var nodes: String?

  @Option(help: "Memory of each node, such as 8G: the machine's, not what is free.")
  var ram: ByteSize?

  @Option(help: "Graphics memory of each node. Layers run on the processor for now.")
  var vram: ByteSize?

  @Option(
    help: "What the system and other programs keep of the memory; by default 2G, or a quarter.")
  var reserve: ByteSize?

  @Option(
    help: ArgumentHelp(
      "Rate and round trip of the links between nodes.", valueName: "rate,time"))
  var link: String?

  @Option(help: "Positions a sequence can have; by default the model's, at most 4096.")
  var context: Int?

  @Option(help: "Sequences that can be in flight at once.")
  var sequences = 1

  @Option(help: "Tokens of a prompt that go through a node at once, at most 512.")
  var prefillChunk: Int?

  @Option(help: "Compute threads per node that memory is set aside for.")
  var threads = 8

  @Option(help: ArgumentHelp("Layers per node, such as 2,1,3.", valueName: "layers"))
  var split: String?

  @Option(help: "What to make as fast as possible: latency, throughput or request.")
  var objective = PlanObjective.latency

  @Option(help: "Length of the prompt that predictions are made for.")
  var promptTokens: Int?

  @Option(help: "Length of the answer that predictions are made for.")
  var generateTokens: Int?

  /// The machines: equal ones, or those of a file.
  func cluster(_ common: CommonOptions) throws -> Cluster {
    let isNumber = nodes?.drop { "+-".contains($0) }.allSatisfy { $0.isWholeNumber } ?? false
    if let nodes, isNumber, Int(nodes) == nil {
      throw ValidationError(
        "--nodes takes a number from 1 to \(Cluster.maximumNodeCount) or a file, not \"\(nodes)\".")
    }
    if let nodes, Int(nodes) == nil { return try clusterFromFile(nodes) }
    guard let ram else {
      throw ValidationError("Say how much memory each node has, such as --ram 8G.")
    }
    let count = nodes.flatMap { Int($0) } ?? 1
    if nodes == nil {
      common.note(
        "planning for one node with \(Quantity.describe(bytes: ram.bytes)); --nodes N plans for "
          + "more")
    }
    return try Cluster(
      count: count, ramBytes: ram.bytes, reserveBytes: reserve?.bytes,
      vramBytes: vram?.bytes ?? 0,
      link: try link.map(LinkProfile.init(argument:)) ?? .gigabitEthernet)
  }

  private func clusterFromFile(_ nodes: String) throws -> Cluster {
    let given = [
      ("--ram", ram != nil), ("--vram", vram != nil), ("--reserve", reserve != nil),
      ("--link", link != nil),
    ]
    if let option = given.first(where: \.1) {
      guard Directory.isFile(nodes) else {
        throw ValidationError(
          "--nodes takes a number from 1 to \(Cluster.maximumNodeCount) or a file; there is no "
            + "file \"\(nodes)\".")
      }
      throw ValidationError(
        "The memory and links of nodes stand in \(nodes); leave \(option.0) out.")
    }
    var cluster = try Cluster.read(from: nodes)
    cluster.allTakePart = split != nil
    return cluster
  }

  /// The request for a model.
  func request(for facts: ModelFacts) throws -> PlanRequest {
    let context = context ?? min(facts.contextLength, PlanSettings.defaultContext)
    let chunk = prefillChunk ?? min(PlanSettings.defaultPrefillChunk, max(1, context))
    var workload = Workload.standard(context: max(1, context))
    if let promptTokens { workload.promptTokens = promptTokens }
    if let generateTokens { workload.generateTokens = generateTokens }
    return PlanRequest(
      settings: PlanSettings(
        context: context, sequences: sequences, prefillChunk: chunk, threads: threads),
      objective: objective, workload: workload, split: try splitLayers())
  }

  private func splitLayers() throws -> [Int]? {
    guard let split else { return nil }
    let parts = split.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    let layers = parts.compactMap { $0 }
    guard layers.count == parts.count else {
      throw ValidationError("--split takes layers per node, such as 2,1,3, not \"\(split)\".")
    }
    return layers
  }
}

extension PlanObjective: ExpressibleByArgument {}
