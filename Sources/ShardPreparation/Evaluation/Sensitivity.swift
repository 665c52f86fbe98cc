import ModelArchitectures
import StrictJSON
import Synchronization
import TensorCore
import TensorKernels

/// What quantizing one tensor alone does.
public struct TensorSensitivity: Sendable {
  public let name: String
  /// The block it belongs to; nil for embedding and head.
  public let layer: Int?
  public let scheme: String
  public let elementCount: Int
  /// Relative error of its products with the original's activations: √(Σ(y − y′)² / Σy²).
  public let outputError: Double
  /// Mean KL divergence of the whole model with this tensor quantized and no other; nil for models
  /// too large to try that in bounded time.
  public let divergence: Double?

  public var json: JSONValue {
    [
      "name": .string(name), "layer": layer.map { JSONValue($0) } ?? .null,
      "scheme": .string(scheme), "weights": JSONValue(elementCount),
      "output_error": .double(outputError),
      "kl_divergence": divergence.map { .double($0) } ?? .null,
    ]
  }
}

/// Measures tensor by tensor, on the first tokens of a text.
struct SensitivityMeasurement {
  let model: LayerwiseModel
  let tested: any WeightSource
  let schemes: [String: String]
  let progress: ProgressHandler?

  /// Tokens that the measurement takes.
  private static let tokenCount = 512
  /// Weights of a model that is run again for every tensor.
  private static let smallElementCount = 64 << 20

  func run(_ pieces: TokenPieces) throws -> [TensorSensitivity] {
    let sample = pieces.batches(tokens: Self.tokenCount)[0]
    let architecture = model.architecture
    let components = architecture.components
    let specs = components.flatMap { architecture.tensors(of: $0) }
    let isSmall = specs.reduce(0) { $0 + $1.rows * $1.columns } <= Self.smallElementCount
    var whole: WholeModel?
    if isSmall { whole = try WholeModel(model, sample) }
    var states = try model.embed(sample)
    var found: [TensorSensitivity] = []
    var seen: Set<String> = []
    for (index, component) in components.enumerated() {
      let specs = architecture.tensors(of: component).filter {
        $0.role.isQuantizable && $0.shape.count == 2 && seen.insert($0.name).inserted
      }
      let collector = InputCollector(limit: Self.tokenCount)
      let tensors = try run(component, &states, sample, collector)
      for spec in specs {
        let widened = try tested.load([spec], pool: model.compute.pool)
        found.append(
          TensorSensitivity(
            name: spec.name, layer: component.layer, scheme: schemes[spec.name] ?? "",
            elementCount: spec.rows * spec.columns,
            outputError: try outputError(spec, tensors, widened, collector, sample),
            divergence: try whole?.divergence(replacing: spec.name, by: widened, in: component)))
      }
      progress?(
        ProgressUpdate(
          phase: "sensitivity", completedBytes: index + 1, totalBytes: components.count))
    }
    return found
  }

  /// Runs a component of the original and notes what goes into its products.
  private func run(
    _ component: Component, _ states: inout [Matrix], _ sample: ArraySlice<TokenPieces.Piece>,
    _ collector: InputCollector
  ) throws -> LoadedTensors {
    let tensors = try model.source.load(
      model.architecture.tensors(of: component), pool: model.compute.pool)
    switch component {
    case .embedding: states = try model.embed(sample)
    case .block(let layer):
      model.run(try model.block(layer, tensors: tensors), states, observer: collector)
    case .head:
      let head = try model.architecture.makeHead(tensors)
      for (state, piece) in zip(states, sample) {
        LogitRows.each(model.architecture.dimensions, count: piece.targets.count) { rows, work in
          model.logits(
            head, state, rows: rows, scratch: work.scratch, into: work.left, observer: collector)
        }
      }
    }
    return tensors
  }

  private func outputError(
    _ spec: TensorSpec, _ original: LoadedTensors, _ widened: LoadedTensors,
    _ collector: InputCollector, _ sample: ArraySlice<TokenPieces.Piece>
  ) throws -> Double {
    guard case .matrix(let left) = original[spec.name],
      case .matrix(let right) = widened[spec.name]
    else { return 0 }
    let compute = model.compute
    var sums = SquareDifference()
    let input = collector.input(of: left)
    // An expert that no token of the sample was sent to has changed nothing.
    guard input != nil || spec.role == .tokenEmbedding else { return 0 }
    // An embedding is not multiplied with: its rows are the outputs.
    let rows = input?.rowCapacity ?? min(Self.tokenCount, sample.reduce(0) { $0 + $1.inputs.count })
    let outputs = input == nil ? spec.columns : spec.rows
    let step = max(1, min(rows, (16 << 20) / (outputs * 4)))
    let a = Matrix(rows: step, columns: outputs)
    let b = Matrix(rows: step, columns: outputs)
    let ids = Array(sample.flatMap(\.inputs).prefix(rows))
    for first in stride(from: 0, to: rows, by: step) {
      let count = min(step, rows - first)
      if let input {
        let part = Matrix(rows: count, columns: spec.columns)
        for row in 0..<count { part.copyRow(row, from: input, first + row) }
        compute.multiply(left, part, quantized: nil, rows: count, into: a)
        compute.multiply(right, part, quantized: nil, rows: count, into: b)
      } else {
        compute.gatherRows(left, Array(ids[first..<first + count]), into: a)
        compute.gatherRows(right, Array(ids[first..<first + count]), into: b)
      }
      sums.add(a, b, rows: count)
    }
    return sums.relative
  }
}

/// Keeps some of the rows that go into each product: every `step`th, up to a limit.
final class InputCollector: LinearObserver {
  private struct Rows {
    var matrix: Matrix
    var count = 0
    /// Rows to pass over until the next.
    var skipped = 0
  }

  private let limit: Int
  private let step: Int
  private let inputs = Mutex<[ObjectIdentifier: Rows]>([:])

  init(limit: Int, step: Int = 1) {
    self.limit = limit
    self.step = step
  }

  func observe(_ weights: PackedMatrix, input: Matrix, rows: Int) {
    inputs.withLock { inputs in
      let key = ObjectIdentifier(weights)
      var kept = inputs[key] ?? Rows(matrix: Matrix(rows: limit, columns: weights.columns))
      var row = kept.skipped
      while row < rows, kept.count < limit {
        kept.matrix.copyRow(kept.count, from: input, row)
        kept.count += 1
        row += step
      }
      kept.skipped = max(0, row - rows)
      inputs[key] = kept
    }
  }

  /// What went into products with a matrix; nil where there was none.
  func input(of weights: PackedMatrix) -> Matrix? {
    guard let kept = inputs.withLock({ $0[ObjectIdentifier(weights)] }), kept.count > 0 else {
      return nil
    }
    guard kept.count < limit else { return kept.matrix }
    let matrix = Matrix(rows: kept.count, columns: kept.matrix.columns)
    for row in 0..<kept.count { matrix.copyRow(row, from: kept.matrix, row) }
    return matrix
  }
}

extension Matrix {
  func copy() -> Matrix {
    let result = Matrix(rows: rowCapacity, columns: columns)
    for row in 0..<rowCapacity { result.copyRow(row, from: self, row) }
    return result
  }

  /// Copies a row of another matrix of the same width.
  func copyRow(_ row: Int, from source: Matrix, _ other: Int) {
    source.withRow(other) { from in
      withMutableRow(row) { to in
        for column in 0..<to.count { to[column] = from[column] }
      }
    }
  }
}

/// A small original model that is wholly in memory, with its states before each layer.
private struct WholeModel {
  private let model: LayerwiseModel
  private let sample: ArraySlice<TokenPieces.Piece>
  private var tensors: [LoadedTensors] = []
  private let head: LoadedTensors
  /// States before layer i, for each piece.
  private var states: [[Matrix]] = []

  init(_ model: LayerwiseModel, _ sample: ArraySlice<TokenPieces.Piece>) throws {
    self.model = model
    self.sample = sample
    let architecture = model.architecture
    var hidden = try model.embed(sample)
    for layer in 0..<architecture.dimensions.layerCount {
      states.append(hidden)
      let loaded = try model.source.load(
        architecture.tensors(of: .block(layer)), pool: model.compute.pool)
      tensors.append(loaded)
      hidden = hidden.map { $0.copy() }
      model.run(try model.block(layer, tensors: loaded), hidden)
    }
    states.append(hidden)
    head = try model.source.load(
      architecture.tensors(of: .head), pool: model.compute.pool)
  }

  /// Mean KL divergence with one tensor replaced.
  func divergence(
    replacing name: String, by other: LoadedTensors, in component: Component
  ) throws -> Double {
    let architecture = model.architecture
    func replaced(_ tensors: LoadedTensors) -> LoadedTensors {
      var tensors = tensors
      if tensors[name] != nil { tensors[name] = other[name] }
      return tensors
    }
    var hidden: [Matrix]
    var first = 0
    switch component {
    case .embedding:
      let loaded = try model.source.load(
        architecture.tensors(of: .embedding), pool: model.compute.pool)
      hidden = try model.embed(sample, tensors: replaced(loaded))
    case .block(let layer):
      first = layer
      hidden = states[layer].map { $0.copy() }
    case .head:
      first = tensors.count
      hidden = states[tensors.count]
    }
    for layer in first..<tensors.count {
      model.run(try model.block(layer, tensors: replaced(tensors[layer])), hidden)
    }
    // A tied embedding is the head too.
    let heads = (
      try architecture.makeHead(head), try architecture.makeHead(replaced(head))
    )
    var tokens = TokenComparisons()
    for (place, piece) in sample.enumerated() {
      LogitRows.each(architecture.dimensions, count: piece.targets.count) { rows, work in
        model.logits(
          heads.0, states[tensors.count][place], rows: rows, scratch: work.scratch,
          into: work.left)
        model.logits(
          heads.1, hidden[place], rows: rows, scratch: work.scratch, into: work.right)
        tokens.add(
          reference: work.left, tested: work.right, targets: piece.targets[rows],
          compute: model.compute)
      }
    }
    return Estimate(meanOf: tokens.divergence).value
  }
}

extension Component {
  /// The block's number; nil for embedding and head.
  var layer: Int? {
    if case .block(let layer) = self { return layer }
    return nil
  }
}
