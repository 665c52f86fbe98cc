import Checkpoints
import ModelArchitectures
import Quantization
import TensorCore
import TensorKernels

/// Quantizes component by component in the order of execution, with activations of the model as it
/// is quantized so far.
///
/// In memory are the hidden states of the calibration text, one component and the sums of its
/// activations.
struct CalibratedRun {
  let plan: QuantizePlan
  let effort: Effort
  /// The staging directory.
  let directory: String
  let checkpoint: Checkpoint
  let text: CalibrationText
  let compute: ComputeContext
  let record: QuantizeRecord
  let advance: @Sendable (Int) -> Void

  /// Columns beyond which the sums would take more than a gigabyte: such matrices do without error
  /// feedback and, as sums are square, without statistics.
  static let columnLimit = 16_384
  /// Rows of held-out activations that decide.
  private static let heldOutCount = 256
  /// Pieces that these come from.
  private static let heldOutPieceCount = 4
  /// Tokens whose logits are computed for the head's statistics.
  private static let headTokenCount = 2048

  /// Hidden states of both parts of the text.
  private struct States {
    var training: [Matrix]
    var heldOut: [Matrix]
  }

  func encodeFiles() throws -> [[SquareSums]] {
    let architecture = try ArchitectureRegistry.architecture(for: checkpoint.configuration)
    let context = max(text.training.context, text.heldOut.context)
    let original = LayerwiseModel(
      architecture, source: OriginalWeights(checkpoint: checkpoint), compute: compute,
      context: context)
    var states = States(training: [], heldOut: [])
    var sums: [[SquareSums]] = []
    for file in plan.files {
      if let kept = record.kept(file) {
        sums.append(kept)
        advance(file.sourceByteCount)
      } else {
        let written = try write(file, original, states)
        try record.finish(written, in: directory)
        sums.append(written.sums)
      }
      let quantized = LayerwiseModel(
        architecture, source: StagedWeights(directory: directory, file: file), compute: compute,
        context: context)
      switch file.component {
      case .embedding:
        states.training = try quantized.embed(text.training.pieces[...])
        states.heldOut = try quantized.embed(text.heldOut.pieces[...])
      case .block(let layer):
        let block = try quantized.block(layer)
        quantized.run(block, states.training)
        quantized.run(block, states.heldOut)
      case .head: break
      }
    }
    return sums
  }

  private func write(
    _ file: QuantizePlan.File, _ original: LayerwiseModel, _ states: States
  ) throws -> QuantizeEncoding.Written {
    let path = "\(directory)/\(file.name)"
    let matrices = file.jobs.filter {
      $0.stored.scheme.format == .q4 && $0.stored.columns <= Self.columnLimit
    }
    guard !matrices.isEmpty, file.component != .embedding else {
      return try QuantizeEncoding(file: file, pool: compute.pool, effort: effort)
        .write(to: path, advance: advance)
    }
    let observed = try observe(file, matrices, original, states)
    var calibrated: [String: CalibratedTensor.Result] = [:]
    var feedbacks: [Int: ErrorFeedback?] = [:]
    for job in matrices {
      guard case .matrix(let weights) = observed.tensors[job.stored.name],
        let (number, gram) = observed.statistics.gram(of: weights), gram.count > 0,
        let heldOut = observed.heldOut.input(of: weights)
      else { continue }
      let importance = observed.importance(number, gram)
      if feedbacks[number] == nil {
        feedbacks[number] = .some(try ErrorFeedback(gram, pool: compute.pool))
      }
      calibrated[job.stored.name] = try CalibratedTensor(
        job: job, effort: effort, importance: importance,
        feedback: feedbacks[number] ?? nil, heldOut: heldOut, compute: compute
      ).run()
    }
    return try QuantizeEncoding(
      file: file, pool: compute.pool, effort: effort, calibrated: calibrated
    ).write(to: path, advance: advance)
  }

  /// What is known of the activations of one component.
  private final class Observation {
    let tensors: LoadedTensors
    let statistics: ActivationStatistics
    let heldOut: InputCollector
    private var importances: [Int: [Float]] = [:]

    init(
      _ tensors: LoadedTensors, _ statistics: ActivationStatistics, _ heldOut: InputCollector
    ) {
      self.tensors = tensors
      self.statistics = statistics
      self.heldOut = heldOut
    }

    /// E[a²] of each column; kept, as the sums become a factor later.
    func importance(_ number: Int, _ gram: ActivationGram) -> [Float] {
      if let known = importances[number] { return known }
      let found = gram.meanSquares
      importances[number] = found
      return found
    }
  }

  /// Runs a component of the original on copies of the states.
  private func observe(
    _ file: QuantizePlan.File, _ jobs: [QuantizePlan.Job], _ original: LayerwiseModel,
    _ states: States
  ) throws -> Observation {
    let tensors = try original.source.load(
      original.architecture.tensors(of: file.component), pool: compute.pool)
    let wanted = jobs.compactMap { job -> PackedMatrix? in
      guard case .matrix(let matrix) = tensors[job.stored.name] else { return nil }
      return matrix
    }
    let statistics = ActivationStatistics(of: wanted, pool: compute.pool)
    let pieces = states.heldOut.prefix(Self.heldOutPieceCount)
    let collector = InputCollector(limit: Self.heldOutCount, step: pieces.count)
    if case .block(let layer) = file.component {
      let block = try original.block(layer, tensors: tensors)
      for state in states.training {
        original.run(block, [state.copy()], observer: statistics)
      }
      for state in pieces {
        original.run(block, [state.copy()], observer: collector)
      }
    } else {
      let head = try original.architecture.makeHead(tensors)
      try runHead(original, head, states.training, limit: Self.headTokenCount, statistics)
      try runHead(
        original, head, Array(pieces), limit: Self.heldOutCount * pieces.count, collector)
    }
    return Observation(tensors, statistics, collector)
  }

  private func runHead(
    _ model: LayerwiseModel, _ head: any HeadStage, _ states: [Matrix], limit: Int,
    _ observer: any LinearObserver
  ) throws {
    var left = limit
    for state in states where left > 0 {
      let count = min(left, state.rowCapacity)
      left -= count
      LogitRows.each(model.architecture.dimensions, count: count) { rows, work in
        model.logits(
          head, state, rows: rows, scratch: work.scratch, into: work.left, observer: observer)
      }
    }
  }
}
