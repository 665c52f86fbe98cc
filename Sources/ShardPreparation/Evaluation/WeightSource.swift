import Checkpoints
import ModelArchitectures
import Quantization
import TensorCore
import TensorKernels

/// Where the weights of a model come from, one tensor at a time, so that a model can run that does
/// not fit in memory.
protocol WeightSource: Sendable {
  /// Whether the model runs as `shardrun` runs quantized ones: activations as integers where the
  /// schemes have it so, caches and hidden states in 16 bits.
  var isQuantized: Bool { get }
  /// The tensor as the kernels take it.
  func content(_ spec: TensorSpec, pool: WorkerPool) throws -> LoadedTensors.Content
}

extension WeightSource {
  /// Everything that a component executes with.
  func load(_ specs: [TensorSpec], pool: WorkerPool) throws -> LoadedTensors {
    var tensors = LoadedTensors()
    for spec in specs { tensors[spec.name] = try content(spec, pool: pool) }
    return tensors
  }
}

/// Rows that are read and laid out together: whole groups of the kernels' layout.
func bands(rows: Int, columns: Int) -> [Range<Int>] {
  let step = max(16, (256 << 10) / max(1, columns) / 16 * 16)
  return stride(from: 0, to: rows, by: step).map { $0..<min($0 + step, rows) }
}

/// The original weights, in the type they are stored in.
struct OriginalWeights: WeightSource {
  let checkpoint: Checkpoint
  var isQuantized: Bool { false }

  func content(_ spec: TensorSpec, pool: WorkerPool) throws -> LoadedTensors.Content {
    let source = try QuantizeSource(spec, in: checkpoint)
    guard spec.shape.count == 2, let scheme = PassThroughScheme(keeping: source.entry.dataType)
    else { return .vector(try row(source.floats(rows: 0..<1))) }
    let matrix = PackedMatrix(scheme.format, rows: spec.rows, columns: spec.columns)
    let bands = bands(rows: spec.rows, columns: spec.columns)
    try pool.runThrowing(chunks: bands.count) { index in
      let floats = try source.floats(rows: bands[index])
      var planes: [[UInt8]] = []
      scheme.encode(
        floats.span, rowCount: bands[index].count, columns: spec.columns, into: &planes)
      let bytes = planes[0]
      unsafe matrix.store(plane: 0, rows: bands[index], bytes.span.bytes)
    }
    return .matrix(matrix)
  }
}

/// Weights of a quantized checkpoint.
struct QuantizedWeights: WeightSource {
  let checkpoint: QuantizedCheckpoint
  /// Whether the values are widened to floats, so that nothing but the weights is quantized.
  let widens: Bool
  let isQuantized: Bool

  init(checkpoint: QuantizedCheckpoint, widens: Bool) {
    self.checkpoint = checkpoint
    self.widens = widens
    isQuantized =
      !widens && checkpoint.tensors.values.contains { $0.scheme.format.isQuantized }
  }

  func content(_ spec: TensorSpec, pool: WorkerPool) throws -> LoadedTensors.Content {
    guard let tensor = checkpoint.tensors[spec.name], tensor.shape == spec.shape else {
      throw PreparationFault(
        "missingTensor",
        "\(checkpoint.directory) lacks the tensor \(spec.name) of the shape \(spec.shape); "
          + "quantize the model again",
        context: ["file": checkpoint.directory, "tensor": spec.name])
    }
    guard spec.shape.count == 2 else {
      return .vector(try row(floats(tensor, rows: 0..<1)))
    }
    let format = widens ? .f32 : tensor.scheme.format
    let matrix = PackedMatrix(format, rows: spec.rows, columns: spec.columns)
    let bands = bands(rows: spec.rows, columns: spec.columns)
    try pool.runThrowing(chunks: bands.count) { index in
      for (plane, bytes) in try planes(tensor, rows: bands[index]).enumerated() {
        unsafe matrix.store(plane: plane, rows: bands[index], bytes.span.bytes)
      }
    }
    return .matrix(matrix)
  }

  private func planes(_ tensor: StoredTensor, rows: Range<Int>) throws -> [[UInt8]] {
    if widens {
      let floats = try floats(tensor, rows: rows)
      var planes: [[UInt8]] = []
      Schemes.f32.encode(
        floats.span, rowCount: rows.count, columns: tensor.columns, into: &planes)
      return planes
    }
    return try tensor.planes.enumerated().map { index, plane in
      let range = rows.lowerBound * plane.bytesPerRow..<rows.upperBound * plane.bytesPerRow
      var bytes = [UInt8](repeating: 0, count: range.count)
      var span = bytes.mutableSpan
      var raw = unsafe span.mutableBytes
      try checkpoint.readPlane(tensor, plane: index, bytes: range, into: &raw)
      return bytes
    }
  }

  private func floats(_ tensor: StoredTensor, rows: Range<Int>) throws -> [Float] {
    var floats = [Float](repeating: 0, count: rows.count * tensor.columns)
    var span = floats.mutableSpan
    try checkpoint.readFloats(tensor, rows: rows, into: &span)
    return floats
  }
}

/// A vector as one row.
private func row(_ floats: [Float]) -> Matrix {
  let matrix = Matrix(rows: 1, columns: floats.count)
  matrix.withMutableRow(0) { row in
    for index in floats.indices { row[index] = floats[index] }
  }
  return matrix
}
