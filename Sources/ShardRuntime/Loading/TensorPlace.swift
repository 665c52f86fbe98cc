import ModelArchitectures
import Quantization
import TensorCore
import TensorKernels

/// Where the verified bytes of one tensor go: into a kernel's layout for a matrix, into floats
/// for a vector.
///
/// Chunks of a plane arrive in any order and from several threads; no two write the same rows.
final class TensorPlace: Sendable {
  private let tensor: StoredTensor
  private let planes: [PlaneLayout]
  private let matrix: PackedMatrix?
  private let vector: AlignedBuffer?

  init(_ tensor: StoredTensor, in arena: MemoryArena) {
    self.tensor = tensor
    planes = tensor.planes
    if tensor.shape.count == 2 {
      matrix = PackedMatrix(
        tensor.scheme.format, rows: tensor.rows, columns: tensor.columns, in: arena)
      vector = nil
    } else {
      matrix = nil
      vector = AlignedBuffer(byteCount: tensor.byteCount)
    }
  }

  /// What the matrices among some tensors take of an arena.
  static func arenaByteCount(_ tensors: [StoredTensor]) -> Int {
    tensors.filter { $0.shape.count == 2 }.reduce(0) {
      $0 + PackedMatrix.arenaByteCount($1.scheme.format, rows: $1.rows, columns: $1.columns)
    }
  }

  /// Takes a chunk of whole rows of one plane.
  ///
  /// Precondition: `offset` and the chunk's length are multiples of the plane's row.
  func store(_ bytes: RawSpan, plane: Int, at offset: Int) {
    if let matrix {
      let rowBytes = planes[plane].bytesPerRow
      let first = offset / rowBytes
      matrix.store(
        plane: plane, rows: first..<(first + bytes.byteCount / rowBytes), bytes)
    } else if let vector {
      unsafe bytes.withUnsafeBytes { source in
        guard let base = source.baseAddress else { return }
        unsafe (vector.pointer + offset).copyMemory(from: base, byteCount: source.count)
      }
    }
  }

  /// The finished tensor.
  ///
  /// Throws: `QuantizationFault` where a vector's bytes do not decode.
  func content() throws -> LoadedTensors.Content {
    if let matrix { return .matrix(matrix) }
    let row = Matrix(rows: 1, columns: tensor.columns)
    let bytes = vector.map { buffer in
      buffer.withBytes { span in
        unsafe span.withUnsafeBytes { unsafe [UInt8]($0.prefix(tensor.byteCount)) }
      }
    }
    try row.withMutableRow(0) { floats in
      try tensor.scheme.decode(
        planes: [bytes ?? []], rowCount: 1, columns: tensor.columns, into: &floats)
    }
    return .vector(row)
  }
}
