import ShardPlanning
import TestSupport
import Testing

@Suite("Large clusters")
struct LargeClusterTests {
  /// 16 different nodes with links of their own and a model of 80 unequal layers that needs most
  /// of them.
  static func planner(links: Bool, allTakePart: Bool) throws -> Planner {
    var generator = SeededGenerator(seed: 80)
    let model = SyntheticModel.random(layerCount: 80, unequal: true, using: &generator)
    let total = model.footprint(for: PlanSettings(context: 1024)).totalWeightBytes
    var nodes: [NodeProfile] = []
    for index in 0..<16 {
      let share = Int.random(in: 70...160, using: &generator)
      nodes.append(
        NodeProfile(
          name: "node-\(index)", ramBytes: total / 16 * share / 100 + 3 << 30,
          reserveBytes: 2 << 30,
          compute: ComputeProfile(
            weightBytesPerSecond: Int.random(in: 8...40, using: &generator) * 1_000_000_000,
            operationsPerSecond: Int.random(in: 20...200, using: &generator) * 1_000_000_000,
            layerNanoseconds: 40_000, passNanoseconds: 60_000)))
    }
    var all: [(from: String, to: String, link: LinkProfile)] = []
    for source in 0..<16 {
      for target in 0..<16 where links && source != target {
        all.append(
          (
            "node-\(source)", "node-\(target)",
            LinkProfile(
              roundTripNanoseconds: Int.random(in: 100...9000, using: &generator) * 1000,
              bytesPerSecond: Int.random(in: 5...120, using: &generator) * 1_000_000)
          ))
      }
    }
    let cluster = try Cluster(nodes: nodes, links: all, allTakePart: allTakePart)
    return Planner(source: model, cluster: cluster)
  }

  @Test(
    "16 different nodes and 80 unequal layers",
    arguments: PlanObjective.allCases, [false, true])
  func plansLargeClusters(objective: PlanObjective, links: Bool) throws {
    let planner = try Self.planner(links: links, allTakePart: false)
    let request = PlanRequest(settings: PlanSettings(context: 1024), objective: objective)
    // `shardbench plan` measures how long this takes.
    let plan = try planner.plan(request)
    #expect(plan.nodes.count >= 8)
  }
}
