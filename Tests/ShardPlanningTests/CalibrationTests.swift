import ShardPlanning
import StrictJSON
import TensorCore
import TestSupport
import Testing

@Suite("Calibration by a measured run")
struct CalibrationTests {
  private let model = SyntheticModel.mistral7B
  private let settings = PlanSettings(context: 2048)

  private func result(
    weightBytes: Int? = nil, decode: [Double], prefill: [Double], messages: Double = 0.004,
    names: [String] = ["node-0", "node-1"], starts: [Int] = [0, 16], ends: [Int] = [16, 32]
  ) -> JSONValue {
    let read = 32 * 123_000_000 + 139_000_000
    return [
      "schema": "shardrun.bench/1", "prompt_tokens": 512, "generate_tokens": 64,
      "weight_bytes_per_token": JSONValue(weightBytes ?? read),
      "measured": ["message_seconds_per_token": .double(messages)],
      "nodes": .array(
        names.indices.map { index in
          [
            "name": .string(names[index]), "first_layer": JSONValue(starts[index]),
            "layer_count": JSONValue(ends[index] - starts[index]),
            "decode_seconds_per_token": .double(decode[index]),
            "prefill_seconds_per_token": .double(prefill[index]),
          ]
        }),
    ]
  }

  private func calibration(_ value: JSONValue) throws -> Calibration {
    let cluster = try Cluster(count: 2, ramBytes: 8 << 30)
    return try Calibration(
      cluster, by: RunMeasurement(json: value, source: "run.json"),
      footprint: model.footprint(for: settings), source: "run.json")
  }

  @Test("the plan then predicts what was measured, for the same split and workload")
  func predictsWhatWasMeasured() throws {
    let run = result(decode: [0.150, 0.080], prefill: [0.030, 0.010])
    let corrected = try calibration(run)
    #expect(corrected.findings.count == 3)
    var request = PlanRequest(
      settings: settings, workload: Workload(promptTokens: 512, generateTokens: 64))
    request.split = [16, 16]
    let plan = try Planner(source: model, cluster: corrected.cluster).plan(request)
    func near(_ nanoseconds: Int, _ seconds: Double) -> Bool {
      abs(Double(nanoseconds) * 1e-9 / seconds - 1) < 1e-3
    }
    #expect(near(plan.nodes[0].predicted.decodeNanoseconds, 0.150))
    #expect(near(plan.nodes[1].predicted.decodeNanoseconds, 0.080))
    #expect(near(plan.prediction.tokenNanoseconds, 0.234))
    #expect(near(plan.nodes[0].predicted.prefillNanoseconds, 0.030 * 128))
    #expect(near(plan.nodes[1].predicted.prefillNanoseconds, 0.010 * 128))
    request.split = nil
    let free = try Planner(source: model, cluster: corrected.cluster).plan(request)
    #expect(free.split[0] < free.split[1], "the slower node gets fewer layers")
  }

  @Test("profiles survive being written and read again")
  func roundTrips() throws {
    let corrected = try calibration(result(decode: [0.1, 0.2], prefill: [0.01, 0.02]))
    let again = try Cluster(json: corrected.cluster.json, source: "nodes.json") { _ in
      throw TestFailure()
    }
    #expect(again.nodes == corrected.cluster.nodes)
    #expect(again.link(from: 0, to: 1) == corrected.cluster.link(from: 0, to: 1))
  }

  @Test("what a very slow run makes of a slow profile can be read again")
  func staysBelievable() throws {
    let slow = ComputeProfile(
      weightBytesPerSecond: 1_000_000_000_000, operationsPerSecond: 1_000_000_000_000,
      layerNanoseconds: 1_000_000, passNanoseconds: 590_000_000_000)
    let nodes = ["node-0", "node-1"].map {
      NodeProfile(name: $0, ramBytes: 8 << 30, compute: slow)
    }
    let run = try RunMeasurement(
      json: result(decode: [3600, 3600], prefill: [0.01, 0.02]), source: "run.json")
    let corrected = try Calibration(
      try Cluster(nodes: nodes, allTakePart: true), by: run,
      footprint: model.footprint(for: settings), source: "run.json")
    let compute = corrected.cluster.nodes[0].compute
    #expect(compute.passNanoseconds == NodeProfile.nanosecondRange.upperBound)
    let again = try Cluster(json: corrected.cluster.json, source: "nodes.json") { _ in
      throw TestFailure()
    }
    #expect(again.nodes == corrected.cluster.nodes)
  }

  private struct TestFailure: Error {}

  @Test("runs of other models or nodes, and nonsense, are bad data")
  func refusesOthers() throws {
    let good = result(decode: [0.1, 0.1], prefill: [0.01, 0.01])
    func refuses(_ value: JSONValue, _ word: String) {
      do {
        _ = try calibration(value)
        Issue.record("\(word) was accepted")
      } catch let fault as PlanFault {
        #expect(fault.exitStatus == .badData && fault.message.contains(word), "\(fault)")
      } catch {
        Issue.record("\(error)")
      }
    }
    _ = try calibration(good)
    refuses(
      result(weightBytes: 1 << 30, decode: [0.1, 0.1], prefill: [0, 0]), "another model")
    refuses(
      result(decode: [0.1, 0.1], prefill: [0, 0], names: ["node-0", "laptop"]), "laptop")
    refuses(
      result(decode: [0.1, 0.1], prefill: [0, 0], names: ["node-0", "node-0"]),
      "node-0 stands there twice")
    for (starts, ends, words) in [
      ([0, 20], [16, 32], "node-1 begins with layer 20, where layer 16 follows"),
      ([0, 8], [16, 32], "node-1 begins with layer 8, where layer 16 follows"),
      ([2, 16], [16, 32], "node-0 begins with layer 2, where layer 0 follows"),
      ([0, 16], [16, 30], "its nodes have 30 layers, this one has 32"),
      ([0, 16], [16, 40], "its nodes have 40 layers, this one has 32"),
    ] {
      refuses(
        result(decode: [0.1, 0.1], prefill: [0, 0], starts: starts, ends: ends), words)
    }
    refuses(result(decode: [-1, 0.1], prefill: [0, 0]), "decode_seconds_per_token")
    refuses(result(decode: [.infinity, 0.1], prefill: [0, 0]), "decode_seconds_per_token")
    refuses(["schema": "shardrun.generate/1"], "schema")
    refuses([], "schema")
  }

  @Test("drift beyond a quarter is told")
  func tellsDrift() {
    #expect(PredictionDrift(measuredSeconds: 1.2, predictedSeconds: 1).warning == nil)
    let slow = PredictionDrift(measuredSeconds: 1.3, predictedSeconds: 1)
    #expect(slow.warning?.contains("30 % longer") == true)
    let fast = PredictionDrift(measuredSeconds: 0.5, predictedSeconds: 1)
    #expect(fast.warning?.contains("50 % less") == true)
  }
}
