import ShardPlanning
import StrictJSON
import TensorCore
import TestSupport
import Testing

@Suite("The planner")
struct PlannerTests {
  private let model = SyntheticModel.mistral7B

  private func planner(_ count: Int, ram: Int = 8 << 30) throws(PlanFault) -> Planner {
    Planner(source: model, cluster: try Cluster(count: count, ramBytes: ram))
  }

  private func request(_ change: (inout PlanRequest) -> Void = { _ in }) -> PlanRequest {
    var request = PlanRequest(settings: PlanSettings(context: 4096))
    change(&request)
    return request
  }

  @Test("three equal laptops share a 7B model evenly")
  func sharesEvenly() throws {
    let plan = try planner(3).plan(request())
    #expect(plan.split == [11, 11, 10])
    #expect(plan.nodes[0].holdsEmbedding && !plan.nodes[0].holdsHead)
    #expect(plan.nodes[2].holdsHead && !plan.nodes[2].holdsEmbedding)
    #expect(plan.nodes.allSatisfy { $0.ledger.reserveBytes == 2 << 30 })
    let stages = plan.nodes.reduce(0) {
      $0 + $1.predicted.decodeNanoseconds + $1.predicted.sendNanoseconds
    }
    #expect(stages == plan.prediction.tokenNanoseconds)
    #expect(plan.prediction.tokensPerSecond > 4 && plan.prediction.tokensPerSecond < 8)
  }

  @Test("a forced split is kept, and refused where it makes no sense")
  func keepsForcedSplits() throws {
    let plan = try planner(3).plan(request { $0.split = [2, 1, 29] })
    #expect(plan.split == [2, 1, 29])
    for split in [[1, 2], [0, 16, 16], [-1, 1, 32], [11, 11, 11], [32], [], [Int.max, 1, 1]] {
      do throws(PlanFault) {
        _ = try planner(3).plan(request { $0.split = split })
        Issue.record("accepted \(split)")
      } catch {
        #expect(error.code == "plan.badSplit" && error.exitStatus == .usage)
      }
    }
  }

  @Test("settings and workloads out of range are wrong usage")
  func refusesNonsense() throws {
    let planner = try planner(2)
    let wrong: [PlanRequest] = [
      request { $0.settings.context = 0 }, request { $0.settings.context = -1 },
      request { $0.settings.context = 10_995_116_277_760 },
      request { $0.settings.context = 32_769 }, request { $0.settings.sequences = 0 },
      request { $0.settings.sequences = 1025 }, request { $0.settings.prefillChunk = 513 },
      request { $0.settings.prefillChunk = 0 }, request { $0.settings.threads = 0 },
      request { $0.workload.promptTokens = 0 }, request { $0.workload.generateTokens = 0 },
      request { $0.workload.promptTokens = 4097 },
      request {
        $0.workload.promptTokens = 4000
        $0.workload.generateTokens = 98
      },
    ]
    for request in wrong {
      do throws(PlanFault) {
        _ = try planner.plan(request)
        Issue.record("accepted \(request)")
      } catch {
        #expect(error.exitStatus == .usage && !error.message.contains("\n"))
      }
    }
    var short = model
    short.layers = Array(short.layers.prefix(2))
    short.facts = ModelFacts(
      family: "s", layerCount: 2, hiddenSize: 64, vocabularySize: 10, contextLength: 4096)
    let three = Planner(source: short, cluster: try Cluster(count: 3, ramBytes: 8 << 30))
    #expect(throws: PlanFault.self) { try three.plan(request()) }
    short.facts = ModelFacts(
      family: "s", layerCount: 513, hiddenSize: 64, vocabularySize: 10, contextLength: 4096)
    let deep = Planner(source: short, cluster: try Cluster(count: 3, ramBytes: 8 << 30))
    #expect(throws: PlanFault.self) { try deep.plan(request()) }
  }

  @Test("the context counts: a larger one needs more memory, and the largest that fits is found")
  func findsLargestContext() throws {
    let small = try planner(2, ram: 5 << 30)
    let largest = try #require(small.largestContext(request()))
    #expect(largest % 256 == 0 && largest < 32_768)
    #expect(throws: Never.self) { try small.plan(request { $0.settings.context = largest }) }
    #expect(throws: PlanFault.self) {
      try small.plan(request { $0.settings.context = largest + 256 })
    }
    #expect(try planner(3).largestContext(request()) == 32_768)
    #expect(try planner(1, ram: 1 << 30).largestContext(request()) == nil)
  }

  @Test("errors name node, bytes and what would help, each tried")
  func advises() throws {
    do throws(PlanFault) {
      _ = try planner(1, ram: 6 << 30).plan(request { $0.settings.context = 32_768 })
      Issue.record("it fits")
    } catch {
      #expect(error.exitStatus == .doesNotFit)
      #expect(error.context["node"] == "node-0")
      #expect(error.message.contains("node-0 lacks"))
      #expect(error.message.contains("--context"))
      #expect(error.message.contains("--nodes 2"))
    }
    do throws(PlanFault) {
      _ = try planner(2, ram: 512 << 20).plan(request())
      Issue.record("it fits")
    } catch {
      #expect(error.message.contains("--nodes 16") || error.message.contains("of memory"))
    }
    do throws(PlanFault) {
      _ = try planner(2, ram: 5 << 30).plan(request { $0.split = [31, 1] })
      Issue.record("it fits")
    } catch {
      #expect(error.message.hasPrefix("this split does not fit"))
      #expect(error.message.contains("leaving --split out"))
    }
  }

  @Test("a report weighs the plan against other ways")
  func reports() throws {
    let report = try planner(3).report(request())
    #expect(report.alternatives.map(\.kind) == [.oneNode, .evenSplit, .memoryProportional])
    #expect(report.losses.count == 3 && report.losses.allSatisfy { $0.prediction != nil })
    #expect(report.largestContext == 32_768)
    #expect(report.leftOut.isEmpty)
    #expect(report.advice.contains { $0.contains("node-0 alone is as fast") })
    let json = report.json
    #expect(json["schema"] == "shardtool.plan-report/1")
    #expect(try ShardPlan(json: #require(json["plan"])) == report.plan)
    for alternative in report.alternatives {
      let time = try #require(alternative.prediction).tokenNanoseconds
      #expect(Double(time) * 1.02 >= Double(report.plan.prediction.tokenNanoseconds))
    }
  }

  @Test("slow machines of a list are left out, and that is said")
  func leavesSlowNodesOut() throws {
    var slow = ComputeProfile.coreI5Laptop
    slow.weightBytesPerSecond = 4_000_000_000
    let nodes = [
      NodeProfile(name: "desk", ramBytes: 8 << 30),
      NodeProfile(name: "attic", ramBytes: 8 << 30, vramBytes: 2 << 30, compute: slow),
    ]
    let cluster = try Cluster(nodes: nodes, allTakePart: false)
    let report = try Planner(source: model, cluster: cluster).report(request())
    #expect(report.plan.nodeNames == ["desk"])
    #expect(report.leftOut == ["attic"])
    #expect(report.advice.contains { $0.contains("attic is left out") })
    #expect(report.advice.contains { $0.contains("graphics memory stays unused") })
  }

  @Test("the model that one node cannot hold says so")
  func saysWhyDistributed() throws {
    let report = try planner(3, ram: 5 << 30).report(request())
    #expect(report.advice.contains { $0.contains("node-0 alone cannot hold the model") })
    let one = try #require(report.alternatives.first)
    #expect(one.prediction == nil && one.missingBytes > 0)
    #expect(report.json["alternatives"]?.array?.first?["missing_bytes"]?.int == one.missingBytes)
    let tight = try planner(2, ram: 5 << 30).report(request())
    #expect(tight.losses.allSatisfy { $0.prediction == nil && $0.missingBytes > 0 })
  }

  @Test("tied weights count once where embedding and head meet")
  func countsTiedWeightsOnce() throws {
    var tied = SyntheticModel(layerCount: 4, layerBytes: 1 << 20, headBytes: 64 << 20)
    tied.sharedBytes = 64 << 20
    tied.loadBufferBytes = 0
    let footprint = tied.footprint(for: PlanSettings(context: 256))
    func total(_ embedding: Bool, _ head: Bool) -> Int {
      footprint.ledger(
        layers: 0..<4, holdsEmbedding: embedding, holdsHead: head, ramBytes: 1 << 30,
        reserveBytes: 0
      ).total
    }
    let extra = tied.tokenizerBytes + tied.headActivationBytes
    #expect(total(true, true) == total(false, false) + 64 << 20 + extra)
    #expect(footprint.totalWeightBytes == 4 << 20 + 64 << 20)
    let ledger = footprint.ledger(
      layers: 1..<2, holdsEmbedding: false, holdsHead: false, ramBytes: 1 << 30,
      reserveBytes: 1 << 20)
    #expect(ledger[.weights] == 1 << 20 && ledger[.head] == 0)
    #expect(ledger.headroom == 1 << 30 - 1 << 20 - ledger.total)
  }

  @Test("throughput balances, a request weighs prompt and answer")
  func honoursObjectives() throws {
    let planner = try planner(3)
    let latency = try planner.plan(request())
    let throughput = try planner.plan(request { $0.objective = .throughput })
    #expect(
      throughput.prediction.bottleneckNanoseconds
        <= latency.prediction.bottleneckNanoseconds * 102 / 100)
    let whole = try planner.plan(request { $0.objective = .request })
    #expect(
      whole.prediction.requestNanoseconds <= latency.prediction.requestNanoseconds * 102 / 100)
    #expect(Workload.standard(context: 256) == Workload(promptTokens: 128, generateTokens: 64))
    #expect(Workload.standard(context: 1) == Workload(promptTokens: 1, generateTokens: 1))
  }
}
