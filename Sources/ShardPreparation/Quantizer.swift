import Checkpoints
import Quantization
import ShardPackaging
import StrictJSON
import Synchronization
import TensorCore
import TensorKernels

/// Turns a Hugging Face checkpoint into a quantized one.
///
/// Rows are streamed in bands through all threads of the pool, so memory stays bounded whatever
/// the model's size, and the bytes do not depend on the number of threads.
public struct Quantizer: Sendable {
  private let checkpoint: Checkpoint
  private let recipe: Recipe
  private let effort: Effort
  private let calibration: CalibrationText?
  private let allocation: SchemeAllocation?
  private let plan: QuantizePlan

  /// Sentences about what is odd in the checkpoint, but no obstacle.
  public let warnings: [String]

  /// What the quantized checkpoint will hold, by name.
  public var storedTensors: [String: StoredTensor] {
    var tensors: [String: StoredTensor] = [:]
    for tensor in plan.storedTensors { tensors[tensor.name] = tensor }
    return tensors
  }

  /// Resolves every tensor before any work begins.
  ///
  /// Throws: `PreparationFault`, `QuantizationFault`, `ArchitectureFault` or `TokenizationFault`
  /// naming the tensor, or the member of a file, that stands in the way.
  public init(
    _ checkpoint: Checkpoint, recipe: Recipe, effort: Effort = .standard,
    calibration: CalibrationText? = nil, allocation: SchemeAllocation? = nil
  ) throws {
    self.checkpoint = checkpoint
    self.recipe = recipe
    self.effort = effort
    self.calibration = calibration
    self.allocation = allocation
    plan = try QuantizePlan(
      checkpoint, recipe: recipe, schemes: allocation?.schemes ?? [:])
    let isCalibratable = plan.files.contains { file in
      file.jobs.contains { $0.stored.scheme.format == .q4 }
    }
    guard calibration == nil || isCalibratable else {
      throw PreparationFault(
        "nothingToCalibrate",
        "--calibrate serves matrices in q4, and this recipe has none; leave it out, or give "
          + "--bits 4", exitStatus: .usage)
    }
    warnings =
      try plan.warnings
      + TokenizerCheck.run(
        checkpoint.tokenizerFiles, in: checkpoint.directory,
        modelVocabulary: plan.vocabularySize)
  }

  /// Writes the quantized checkpoint; it appears in `directory` whole or not at all.
  ///
  /// A command that was killed is continued where it stood; one that fails leaves nothing
  /// behind. An older quantized checkpoint in `directory` is replaced at the end.
  ///
  /// Throws: `PreparationFault` where the directory holds anything else, `CheckpointFault` for
  /// weights that are no numbers, `FileFault` where reading or writing fails.
  public func run(
    to directory: String, pool: WorkerPool, progress: ProgressHandler? = nil
  ) throws -> QuantizeReport {
    let staging = try QuantizeStaging(target: directory)
    do {
      let report = try write(to: staging, pool: pool, progress: progress)
      try staging.commit()
      return report
    } catch {
      staging.abandon()
      throw error
    }
  }

  private func write(
    to staging: QuantizeStaging, pool: WorkerPool, progress: ProgressHandler?
  ) throws -> QuantizeReport {
    let fingerprint = try QuantizeProgress.fingerprint(
      checkpoint, recipe: recipe, effort: effort, calibration: calibration,
      schemes: allocation?.schemes ?? [:])
    let kept = QuantizeProgress.resumed(
      in: staging.path, fingerprint: fingerprint, pool: pool, progress: progress)
    try staging.keepOnly(Set(kept.files.keys).union([QuantizeStaging.progressFileName]))
    let digests = try SourceDigests(checkpoint)
    let record = QuantizeRecord(kept)
    let sums = try encode(
      to: staging.path, record: record, digests: digests, pool: pool, progress: progress)
    let report = report(sums, gains: record.gains)
    try writeDescription(report, to: staging.path)
    try Directory.writeAtomically(
      Array(Provenance(recipe: recipe, sources: try digests.finish()).fileText.utf8),
      to: "\(staging.path)/\(Provenance.fileName)")
    try staging.keepOnly(Set(plan.files.map(\.name) + Self.descriptionNames(checkpoint)))
    return report
  }

  private func encode(
    to directory: String, record: QuantizeRecord, digests: SourceDigests, pool: WorkerPool,
    progress: ProgressHandler?
  ) throws -> [[SquareSums]] {
    let total = plan.sourceByteCount
    let done = Mutex(0)
    let advance: @Sendable (Int) -> Void = { bytes in
      let completed = done.withLock { count in
        count += bytes
        return count
      }
      progress?(
        ProgressUpdate(phase: "quantize", completedBytes: completed, totalBytes: total))
    }
    guard let calibration else {
      return try QuantizeRun(
        plan: plan, effort: effort, directory: directory, digests: digests, pool: pool,
        record: record, advance: advance
      ).encodeFiles()
    }
    return try CalibratedRun(
      plan: plan, effort: effort, directory: directory, checkpoint: checkpoint,
      text: calibration, compute: try ComputeContext(threads: pool.threads), record: record,
      advance: advance
    ).encodeFiles()
  }

  private func report(
    _ sums: [[SquareSums]], gains: [String: CalibrationGain]
  ) -> QuantizeReport {
    let entries = zip(plan.files, sums).flatMap { file, sums in
      zip(file.jobs, sums).map { job, sums in
        QuantizeReport.Entry(
          name: job.stored.name, component: file.component.name,
          role: job.source.spec.role.rawValue, scheme: job.stored.scheme.name,
          shape: job.stored.shape, byteCount: job.stored.byteCount,
          bitsPerWeight: job.stored.bitsPerWeight, power: sums.power,
          errorPower: sums.errorPower, calibration: gains[job.stored.name])
      }
    }
    return QuantizeReport(
      recipe: recipe.name, effort: effort, entries: entries, sourceByteCount: plan.sourceByteCount)
  }

  private static let indexName = "model.safetensors.index.json"

  private static func descriptionNames(_ checkpoint: Checkpoint) -> [String] {
    ["config.json", indexName, QuantizeReport.fileName, Provenance.fileName]
      + checkpoint.tokenizerFiles
  }

  /// Everything beside the weights: configuration, index, report and the tokenizer's files.
  private func writeDescription(_ report: QuantizeReport, to directory: String) throws {
    func write(_ value: JSONValue, _ name: String) throws {
      try Directory.writeAtomically(
        Array(value.serialized(.pretty).utf8), to: "\(directory)/\(name)")
    }
    var map = JSONObject()
    var byteCount = 0
    for file in plan.files {
      for job in file.jobs {
        for (index, plane) in job.stored.planes.enumerated() {
          map[job.stored.storageName(plane: index)] = .string(file.name)
          byteCount += plane.byteCount
        }
      }
    }
    try write(
      ["metadata": ["total_size": JSONValue(byteCount)], "weight_map": .object(map)],
      Self.indexName)
    try write(report.json, QuantizeReport.fileName)
    for name in checkpoint.tokenizerFiles {
      let bytes = try InputFile.contents(of: "\(checkpoint.directory)/\(name)")
      try Directory.writeAtomically(bytes, to: "\(directory)/\(name)")
    }
    var configuration = checkpoint.configuration
    configuration[QuantizationRecord.key] =
      QuantizationRecord(recipe: recipe.name, tensors: plan.storedTensors).json
    try write(.object(configuration), "config.json")
  }
}
