import Checkpoints
import ModelArchitectures
import Quantization
import TensorCore
import TensorKernels

/// Runs a quantized model and the original side by side over a text and compares what they say.
///
/// Both go layer by layer over many pieces of the text, so that memory holds one layer of each, and
/// weights are read once for every 256 MiB of hidden states.
public struct Evaluator: Sendable {
  /// What is asked for beside the comparison.
  public struct Options: Sendable {
    /// Places of a piece, BOS among them.
    public var context: Int
    /// Whether weights are widened to floats before they are multiplied with, so that activations
    /// and caches lose nothing: the comparison is then of weights alone.
    public var weightsOnly = false
    /// Whether each tensor's own effect is measured too.
    public var measuresSensitivity = false

    public init(context: Int) { self.context = context }
  }

  public let architecture: any ModelArchitecture
  private let reference: Checkpoint
  private let tested: Checkpoint
  /// By the tested checkpoint's own configuration, which is what `shardrun` would go by.
  private let testedArchitecture: any ModelArchitecture

  /// Opens both directories. The tested one may be unquantized too.
  ///
  /// Throws: a fault that names the directory which is no checkpoint, or that they differ.
  public init(tested: String, against reference: String) throws {
    self.reference = try Checkpoint(directory: reference)
    self.tested = try Checkpoint(directory: tested)
    guard !QuantizationRecord.isPresent(in: self.reference.configuration) else {
      throw PreparationFault(
        "alreadyQuantized",
        "\(reference) is quantized; give the original checkpoint to compare with",
        context: ["file": reference])
    }
    architecture = try ArchitectureRegistry.architecture(for: self.reference.configuration)
    let other = try ArchitectureRegistry.architecture(for: self.tested.configuration)
    guard type(of: other).family == type(of: architecture).family,
      other.dimensions == architecture.dimensions
    else {
      throw PreparationFault(
        "differentModels",
        "\(tested) and \(reference) are not the same model: their config.json differ in family or "
          + "size", context: ["file": tested])
    }
    testedArchitecture = other
  }

  /// Bytes of hidden states of one model that are in memory at a time.
  private static let stateByteCount = 256 << 20

  /// Runs both models over the pieces.
  ///
  /// Throws: what reading the weights throws.
  public func run(
    _ ids: [Int32], bos: Int32, options: Options, compute: ComputeContext,
    progress: ProgressHandler? = nil
  ) throws -> Evaluation {
    let pieces = try TokenPieces(
      ids, bos: bos, context: options.context,
      vocabulary: architecture.dimensions.vocabularySize)
    let left = LayerwiseModel(
      architecture, source: OriginalWeights(checkpoint: reference), compute: compute,
      context: options.context)
    let right = LayerwiseModel(
      testedArchitecture, source: try testedWeights(widens: options.weightsOnly), compute: compute,
      context: options.context)
    let hidden = architecture.dimensions.hiddenSize
    let batches = pieces.batches(
      tokens: Self.stateByteCount / (hidden * MemoryLayout<Float>.size))
    let steps = batches.count * (architecture.dimensions.layerCount + 2)
    var layers = [SquareDifference](
      repeating: SquareDifference(), count: architecture.dimensions.layerCount)
    var tokens = TokenComparisons()
    for (index, batch) in batches.enumerated() {
      let first = index * (architecture.dimensions.layerCount + 2)
      try compare(left, right, batch, &layers, &tokens) { step in
        progress?(
          ProgressUpdate(phase: "evaluate", completedBytes: first + step, totalBytes: steps))
      }
    }
    var sensitivity: [TensorSensitivity]?
    if options.measuresSensitivity {
      sensitivity = try SensitivityMeasurement(
        model: left, tested: try testedWeights(widens: true), schemes: schemes,
        progress: progress
      ).run(pieces)
    }
    return Evaluation(
      tokens, context: options.context, layers: layers, sensitivity: sensitivity)
  }

  private func testedWeights(widens: Bool) throws -> any WeightSource {
    guard QuantizationRecord.isPresent(in: tested.configuration) else {
      return OriginalWeights(checkpoint: tested)
    }
    return QuantizedWeights(checkpoint: try QuantizedCheckpoint(tested), widens: widens)
  }

  /// Names of the schemes of the tested tensors.
  private var schemes: [String: String] {
    get throws {
      guard QuantizationRecord.isPresent(in: tested.configuration) else { return [:] }
      return try QuantizedCheckpoint(tested).tensors.mapValues { $0.scheme.name }
    }
  }

  private func compare(
    _ left: LayerwiseModel, _ right: LayerwiseModel, _ batch: ArraySlice<TokenPieces.Piece>,
    _ layers: inout [SquareDifference], _ tokens: inout TokenComparisons,
    advance: (Int) -> Void
  ) throws {
    let leftStates = try left.embed(batch)
    let rightStates = try right.embed(batch)
    advance(1)
    for layer in layers.indices {
      left.run(try left.block(layer), leftStates)
      right.run(try right.block(layer), rightStates)
      for (a, b) in zip(leftStates, rightStates) {
        layers[layer].add(a, b, rows: a.rowCapacity)
      }
      advance(layer + 2)
    }
    let heads = (try left.head(), try right.head())
    for (place, piece) in batch.enumerated() {
      LogitRows.each(architecture.dimensions, count: piece.targets.count) { rows, work in
        left.logits(
          heads.0, leftStates[place], rows: rows, scratch: work.scratch, into: work.left)
        right.logits(
          heads.1, rightStates[place], rows: rows, scratch: work.scratch, into: work.right)
        tokens.add(
          reference: work.left, tested: work.right, targets: piece.targets[rows],
          compute: left.compute)
      }
    }
    guard tokens.areFinite else {
      throw PreparationFault(
        "notFinite",
        "the logits of \(tested.directory) or of \(reference.directory) are no numbers at some "
          + "place of this text; run both with shardrun score to see which, and quantize it anew",
        context: ["file": tested.directory])
    }
    advance(layers.count + 2)
  }
}

/// Logits of a few rows at a time, so that they stay small whatever the vocabulary.
struct LogitRows {
  let scratch: Matrix
  let left: Matrix
  let right: Matrix

  private static let byteCount = 16 << 20

  static func each(
    _ dimensions: ModelDimensions, count: Int, _ body: (Range<Int>, LogitRows) -> Void
  ) {
    let size = dimensions.vocabularySize * MemoryLayout<Float>.size
    let step = max(1, min(64, min(count, byteCount / size)))
    let work = LogitRows(
      scratch: Matrix(rows: step, columns: dimensions.hiddenSize),
      left: Matrix(rows: step, columns: dimensions.vocabularySize),
      right: Matrix(rows: step, columns: dimensions.vocabularySize))
    for first in stride(from: 0, to: count, by: step) {
      body(first..<min(count, first + step), work)
    }
  }
}
