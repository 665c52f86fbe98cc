import Checkpoints
import ModelArchitectures
import Quantization
import Synchronization
import TensorCore
import TensorKernels

/// Chooses a scheme for every matrix so that a model stays within so many bits a weight and loses
/// as little as possible: `q4` everywhere, and `q8` where a byte more wins most.
///
/// What a tensor in `q4` costs is measured: on the model's own activations where there is a
/// calibration text, otherwise as the relative error of its weights, on a sample of rows.
public struct SchemeAllocation: Sendable {
  /// Scheme names by tensor.
  public let schemes: [String: String]
  /// Bits a weight of all tensors together, with these.
  public let bitsPerWeight: Double

  /// A matrix that can have one scheme or the other.
  private struct Choice {
    let name: String
    let order: Int
    let small: Int
    let large: Int
    /// What it costs in `q4`; `q8` counts as nothing beside it.
    let loss: Double

    /// What a byte more wins.
    var rate: Double { large > small ? loss / Double(large - small) : 0 }
  }

  /// Bits by which `q4` everywhere may exceed what was asked for.
  private static let slack = 0.05

  /// Measures and chooses.
  ///
  /// Throws: `PreparationFault` where `q4` everywhere takes more than that.
  public init(
    _ checkpoint: Checkpoint, bitsPerWeight target: Double, effort: Effort,
    calibration: CalibrationText?, threads: Int, progress: ProgressHandler? = nil
  ) throws {
    let plan = try QuantizePlan(checkpoint, recipe: try Recipe.uniform(Schemes.q4.name))
    let jobs = plan.files.flatMap(\.jobs)
    let losses = try Self.losses(
      checkpoint, jobs, effort: effort, calibration: calibration, threads: threads,
      progress: progress)
    let weights = jobs.reduce(0) { $0 + $1.stored.elementCount }
    let limit = Int(target * Double(weights) / 8)
    var bytes = jobs.reduce(0) { $0 + $1.stored.byteCount }
    // What rows' scales add to the 4.5 bits of q4 does not spoil a budget of 4.5.
    guard bytes <= limit + Int(Self.slack * Double(weights) / 8) else {
      throw PreparationFault(
        "budgetTooSmall",
        "q4 throughout takes \(Quantity.fixed(Double(bytes) * 8 / Double(weights), digits: 3)) "
          + "bits a weight, more than the \(Quantity.fixed(target, digits: 3)) asked for; give a "
          + "larger --target-bpw", exitStatus: .usage)
    }
    let choices = jobs.enumerated().compactMap { order, job -> Choice? in
      guard let loss = losses[job.stored.name], job.stored.scheme.name == Schemes.q4.name
      else { return nil }
      return Choice(
        name: job.stored.name, order: order, small: job.stored.byteCount,
        large: Schemes.q8.byteCount(rows: job.stored.rows, columns: job.stored.columns),
        loss: loss)
    }
    var schemes: [String: String] = [:]
    for choice in choices.sorted(by: { ($0.rate, -$0.order) > ($1.rate, -$1.order) }) {
      let fits = bytes + choice.large - choice.small <= limit
      schemes[choice.name] = (fits ? Schemes.q8 : Schemes.q4).name
      if fits { bytes += choice.large - choice.small }
    }
    self.schemes = schemes
    bitsPerWeight = Double(bytes) * 8 / Double(max(1, weights))
  }

  private static func losses(
    _ checkpoint: Checkpoint, _ jobs: [QuantizePlan.Job], effort: Effort,
    calibration: CalibrationText?, threads: Int, progress: ProgressHandler?
  ) throws -> [String: Double] {
    let architecture = try ArchitectureRegistry.architecture(for: checkpoint.configuration)
    guard let calibration else {
      var losses = try weightLosses(
        jobs, effort: effort, pool: WorkerPool(threads: threads), progress: progress)
      weigh(&losses, jobs, architecture.dimensions)
      return losses
    }
    let model = LayerwiseModel(
      architecture, source: OriginalWeights(checkpoint: checkpoint),
      compute: try ComputeContext(threads: threads), context: calibration.training.context)
    let measured = try SensitivityMeasurement(
      model: model, tested: RoundedWeights(checkpoint: checkpoint, effort: effort), schemes: [:],
      progress: progress
    ).run(calibration.training)
    var losses: [String: Double] = [:]
    for tensor in measured {
      losses[tensor.name] = tensor.divergence ?? tensor.outputError * tensor.outputError
    }
    if measured.contains(where: { $0.divergence == nil }) {
      weigh(&losses, jobs, architecture.dimensions)
    }
    return losses
  }

  /// An error of logits or of embeddings counts more than one of the same relative size inside of a
  /// block, by about these factors (measured on trained models).
  private static func weigh(
    _ losses: inout [String: Double], _ jobs: [QuantizePlan.Job], _ dimensions: ModelDimensions
  ) {
    for job in jobs {
      let factor: Double =
        switch job.source.spec.role {
        case .head: 64
        case .tokenEmbedding: dimensions.tiesEmbeddings ? 16 : 4
        default: 1
        }
      losses[job.stored.name]? *= factor
    }
  }

  /// Weights of a tensor that are tried.
  private static let sampleElementCount = 128 << 10

  /// Relative squared errors of a sample of each matrix.
  private static func weightLosses(
    _ jobs: [QuantizePlan.Job], effort: Effort, pool: WorkerPool, progress: ProgressHandler?
  ) throws -> [String: Double] {
    let matrices = jobs.filter { $0.stored.scheme.name == Schemes.q4.name }
    let losses = Mutex<[String: Double]>([:])
    try pool.runThrowing(chunks: matrices.count) { index in
      let job = matrices[index]
      let columns = job.stored.columns
      let count = max(1, min(job.stored.rows, sampleElementCount / columns))
      var sums = SquareSums()
      for part in 0..<min(8, count) {
        let rows = count / min(8, count)
        let first = (job.stored.rows - rows) * part / max(1, min(8, count) - 1)
        let range = min(first, job.stored.rows - rows)..<min(first + rows, job.stored.rows)
        let floats = try job.source.floats(rows: range)
        let values = try RoundedWeights.rounded(
          floats, rows: range.count, columns: columns, effort: effort)
        sums.add(floats.span, values.span)
      }
      let done = losses.withLock { losses in
        losses[job.stored.name] = sums.power > 0 ? sums.errorPower / sums.power : 0
        return losses.count
      }
      progress?(
        ProgressUpdate(
          phase: "sensitivity", completedBytes: done, totalBytes: matrices.count))
    }
    return losses.withLock { $0 }
  }
}

/// The original weights as they are after rounding to `q4`, as floats.
struct RoundedWeights: WeightSource {
  let checkpoint: Checkpoint
  let effort: Effort
  var isQuantized: Bool { false }

  func content(_ spec: TensorSpec, pool: WorkerPool) throws -> LoadedTensors.Content {
    guard spec.shape.count == 2 else {
      return try OriginalWeights(checkpoint: checkpoint).content(spec, pool: pool)
    }
    let source = try QuantizeSource(spec, in: checkpoint)
    let matrix = PackedMatrix(.f32, rows: spec.rows, columns: spec.columns)
    let bands = bands(rows: spec.rows, columns: spec.columns)
    try pool.runThrowing(chunks: bands.count) { index in
      let floats = try source.floats(rows: bands[index])
      let values = try Self.rounded(
        floats, rows: bands[index].count, columns: spec.columns, effort: effort)
      var planes: [[UInt8]] = []
      Schemes.f32.encode(
        values.span, rowCount: bands[index].count, columns: spec.columns, into: &planes)
      let bytes = planes[0]
      unsafe matrix.store(plane: 0, rows: bands[index], bytes.span.bytes)
    }
    return .matrix(matrix)
  }

  static func rounded(
    _ floats: [Float], rows: Int, columns: Int, effort: Effort
  ) throws -> [Float] {
    var planes: [[UInt8]] = []
    Schemes.q4.encode(
      floats.span, rowCount: rows, columns: columns, options: EncodingOptions(effort: effort),
      into: &planes)
    var values = [Float](repeating: 0, count: floats.count)
    var span = values.mutableSpan
    try Schemes.q4.decode(planes: planes, rowCount: rows, columns: columns, into: &span)
    return values
  }
}
