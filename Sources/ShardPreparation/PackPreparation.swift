import Quantization
import ShardPackaging
import ShardPlanning
import TensorCore
import TensorKernels

/// The arrow from a quantized checkpoint and a plan to a bundle.
public enum PackPreparation {
  /// Packs what lies at these paths.
  ///
  /// Throws: as `Packager.pack`, and what stands in the way of reading checkpoint and plan.
  public static func pack(
    checkpoint: String, plan: String, to directory: String,
    threads: Int = WorkerPool.defaultThreadCount, release: BundleRelease = BundleRelease(),
    progress: ProgressHandler? = nil
  ) throws -> PackReport {
    let quantized = try QuantizedCheckpoint(directory: checkpoint)
    let plan = try ShardPlan.read(from: plan)
    try check(plan, fits: quantized)
    _ = try TokenizerCheck.run(
      quantized.tokenizerFiles, in: quantized.directory,
      modelVocabulary: plan.facts.vocabularySize)
    let summary = try Packager.pack(
      quantized, plan: plan, to: directory, threads: threads, release: release,
      progress: progress)
    return PackReport(summary.manifest, directory: directory, summary: summary)
  }

  /// Counts every node's bytes again, in case the plan was made for other weights.
  private static func check(_ plan: ShardPlan, fits quantized: QuantizedCheckpoint) throws {
    let source = try CheckpointFootprint(quantized)
    let footprint = source.footprint(for: plan.settings)
    guard footprint.layers.count == plan.facts.layerCount else {
      throw PreparationFault(
        "otherModel",
        "the plan is for \(Quantity.count(plan.facts.layerCount, "layer")), and the checkpoint has "
          + "\(footprint.layers.count); make the plan again with shardtool plan")
    }
    for node in plan.nodes {
      let ledger = footprint.ledger(
        layers: node.layers, holdsEmbedding: node.holdsEmbedding, holdsHead: node.holdsHead,
        ramBytes: node.ledger.ramBytes, reserveBytes: node.ledger.reserveBytes)
      guard ledger.headroom >= 0 else {
        throw PreparationFault(
          "doesNotFit",
          "\(node.name) lacks \(Quantity.describe(bytes: -ledger.headroom)): the plan was made "
            + "for smaller weights; make it again with shardtool plan",
          exitStatus: .doesNotFit, context: ["node": node.name])
      }
    }
  }
}
