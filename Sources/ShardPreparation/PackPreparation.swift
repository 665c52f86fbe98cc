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
    threads: Int = WorkerPool.defaultThreadCount, progress: ProgressHandler? = nil
  ) throws -> PackReport {
    let quantized = try QuantizedCheckpoint(directory: checkpoint)
    let plan = try ShardPlan.read(from: plan)
    let summary = try Packager.pack(
      quantized, plan: plan, to: directory, threads: threads, progress: progress)
    return PackReport(summary.manifest, directory: directory, summary: summary)
  }
}
