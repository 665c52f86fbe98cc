import Checkpoints
import ModelArchitectures
import Quantization
import TensorCore
import TensorKernels

/// Weights of files that quantizing has finished, before the checkpoint is whole.
struct StagedWeights: WeightSource {
  let directory: String
  let file: QuantizePlan.File

  var isQuantized: Bool {
    file.jobs.contains { $0.stored.scheme.format.needsQuantizedActivations }
  }

  func content(_ spec: TensorSpec, pool: WorkerPool) throws -> LoadedTensors.Content {
    let path = "\(directory)/\(file.name)"
    guard let tensor = file.jobs.first(where: { $0.stored.name == spec.name })?.stored else {
      throw PreparationFault(
        "missingTensor", "\(path) lacks the tensor \(spec.name); quantize the model again",
        context: ["file": path, "tensor": spec.name])
    }
    let safetensors = try SafetensorsFile(path: path)
    var planes: [[UInt8]] = []
    for index in tensor.planes.indices {
      guard let entry = safetensors[tensor.storageName(plane: index)] else { continue }
      planes.append(
        try safetensors.file.bytes(at: entry.byteRange.lowerBound, count: entry.byteCount))
    }
    guard spec.shape.count == 2 else {
      let row = Matrix(rows: 1, columns: tensor.columns)
      try row.withMutableRow(0) { floats in
        try tensor.scheme.decode(
          planes: planes, rowCount: 1, columns: tensor.columns, into: &floats)
      }
      return .vector(row)
    }
    let matrix = PackedMatrix(tensor.scheme.format, rows: tensor.rows, columns: tensor.columns)
    for (index, bytes) in planes.enumerated() {
      unsafe matrix.store(plane: index, rows: 0..<tensor.rows, bytes.span.bytes)
    }
    return .matrix(matrix)
  }
}
