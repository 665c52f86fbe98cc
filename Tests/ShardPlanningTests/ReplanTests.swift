import ShardPlanning
import TestSupport
import Testing

@Suite("New plans from old ones, and pictures")
struct ReplanTests {
  private let model = SyntheticModel.mistral7B

  private func request(_ previous: ShardPlan? = nil) -> PlanRequest {
    PlanRequest(settings: PlanSettings(context: 4096), previous: previous)
  }

  @Test("among equally fast plans the one that ships least is taken")
  func shipsLittle() throws {
    let planner = Planner(source: model, cluster: try Cluster(count: 3, ramBytes: 8 << 30))
    var forced = request()
    forced.split = [14, 9, 9]
    let old = try planner.plan(forced)
    let report = try planner.report(request(old))
    #expect(report.plan.split == [14, 9, 9])
    #expect(report.replan?.totalBytes == 0)
    for objective in PlanObjective.allCases {
      var request = request(old)
      request.objective = objective
      let plan = try planner.plan(request)
      let best = try #require(try planner.optimum(request))
      let value =
        switch objective {
        case .latency: plan.prediction.tokenNanoseconds
        case .throughput: plan.prediction.bottleneckNanoseconds
        case .request: plan.prediction.requestNanoseconds
        }
      #expect(Double(value) <= Double(best) * 1.02 + 1, "\(objective)")
    }
    let four = Planner(source: model, cluster: try Cluster(count: 4, ramBytes: 8 << 30))
    let wider = try four.report(request(old))
    #expect(wider.replan?.nodes.first { $0.name == "node-3" }?.missing.isEmpty == false)
    #expect(wider.json["replan"]?.array?.count == 4)
  }

  @Test("a plan of another model is refused")
  func refusesOtherModels() throws {
    let cluster = try Cluster(count: 2, ramBytes: 8 << 30)
    let other = SyntheticModel(layerCount: 8, layerBytes: 1 << 20, headBytes: 1 << 20)
    let old = try Planner(source: other, cluster: cluster)
      .plan(PlanRequest(settings: PlanSettings(context: 512)))
    #expect(throws: PlanFault.self) {
      try Planner(source: model, cluster: cluster).plan(request(old))
    }
  }

  @Test("a picture shows every node, and is the same for the same plan")
  func draws() throws {
    let plan = try Planner(source: model, cluster: try Cluster(count: 3, ramBytes: 8 << 30))
      .plan(request())
    let svg = PlanPicture(plan).svg
    #expect(svg == PlanPicture(plan).svg)
    #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
    for name in plan.nodeNames { #expect(svg.contains(">\(name)<")) }
  }
}
