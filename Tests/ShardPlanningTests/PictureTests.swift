import Foundation
import ModelArchitectures
import Quantization
import ShardPlanning
import StrictJSON
import TensorCore
import TestSupport
import Testing

@Suite("The picture of a plan")
struct PictureTests {
  /// Mistral 7B in 4 bits: the sizes of all its tensors, without their bytes.
  private static func mistral() throws -> CheckpointFootprint {
    let configuration: JSONObject = [
      "model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14_336,
      "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
      "vocab_size": 32_000, "max_position_embeddings": 32_768, "rms_norm_eps": .double(1e-5),
      "rope_theta": .double(10_000), "sliding_window": 4096, "hidden_act": "silu",
      "tie_word_embeddings": false,
    ]
    let architecture = try ArchitectureRegistry.architecture(for: configuration)
    var tensors: [String: StoredTensor] = [:]
    for spec in architecture.components.flatMap({ architecture.tensors(of: $0) }) {
      let scheme = try Recipe.bits4.scheme(
        for: spec.role, shape: spec.shape, isTied: false, stored: .f16)
      tensors[spec.name] = StoredTensor(name: spec.name, scheme: scheme, shape: spec.shape)
    }
    return CheckpointFootprint(
      memory: try MemoryModel(architecture: architecture, tensors: tensors),
      tokenizerFileBytes: 1_795_303, modelType: "mistral")
  }

  private static func plan(_ change: (inout PlanRequest) -> Void = { _ in }) throws -> ShardPlan {
    let nodes = "\(Places.packageRoot)/manifests/nodes/three-laptops.json"
    var cluster = try Cluster.read(from: nodes)
    var request = PlanRequest(settings: PlanSettings(context: 4096), objective: .throughput)
    change(&request)
    cluster.allTakePart = request.split != nil
    return try Planner(source: mistral(), cluster: cluster).plan(request)
  }

  @Test("the picture in the README is what shardtool plan --svg draws today")
  func readmePictureIsCurrent() throws {
    let path = "\(Places.packageRoot)/docs/images/three-laptops.svg"
    let drawn = PlanPicture(try Self.plan()).svg
    if ProcessInfo.processInfo.environment["SHARD_UPDATE"] != nil {
      try Directory.create(Directory.parent(of: path))
      try Directory.writeAtomically(Array(drawn.utf8), to: path)
    }
    let kept = String(decoding: try InputFile.contents(of: path), as: UTF8.self)
    #expect(kept == drawn, "run `SHARD_UPDATE=1 swift test --filter PictureTests` and look at it")
  }

  @Test("every node, its layers and every link are in it")
  func showsEverything() throws {
    let plan = try Self.plan { $0.split = [12, 10, 10] }
    let svg = PlanPicture(plan).svg
    for node in plan.nodes { #expect(svg.contains(">\(node.name)<")) }
    for text in ["layers 0–11", "layers 12–21", "layers 22–31", "token back"] {
      #expect(svg.contains(text), "\(text)")
    }
    #expect(svg.components(separatedBy: "marker-end").count == 4)
    #expect(svg.components(separatedBy: "<svg").count == 2 && svg.hasSuffix("</svg>\n"))
  }
}
