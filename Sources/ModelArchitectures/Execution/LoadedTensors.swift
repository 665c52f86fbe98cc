import TensorCore
import TensorKernels

/// The tensors of a node as they lie in memory, by canonical name.
public struct LoadedTensors: Sendable {
  public enum Content: Sendable {
    /// A weight matrix laid out for the kernels.
    case matrix(PackedMatrix)
    /// A vector (norm weight, bias) as one row of floats.
    case vector(Matrix)
  }

  private var contents: [String: Content] = [:]

  public init() {}

  public subscript(name: String) -> Content? {
    get { contents[name] }
    set { contents[name] = newValue }
  }

  func matrix(_ name: String) throws(ArchitectureFault) -> PackedMatrix {
    guard case .matrix(let matrix) = contents[name] else { throw missing(name) }
    return matrix
  }

  func vector(_ name: String) throws(ArchitectureFault) -> Matrix {
    guard case .vector(let vector) = contents[name] else { throw missing(name) }
    return vector
  }

  private func missing(_ name: String) -> ArchitectureFault {
    ArchitectureFault(
      code: "tensorMissing", message: "tensor \(name) is not loaded; pack the model again",
      context: ["tensor": name])
  }
}

extension LoadedTensors {
  /// A projection: `NAME.weight`, and `NAME.bias` where the family has one.
  func linear(_ name: String, hasBias: Bool = false) throws(ArchitectureFault) -> Linear {
    Linear(
      weights: try matrix(name + ".weight"), bias: hasBias ? try vector(name + ".bias") : nil)
  }

  /// Vectors of one length as the rows of one matrix.
  func stacked(_ names: [String]) throws(ArchitectureFault) -> Matrix {
    var vectors: [Matrix] = []
    for name in names { vectors.append(try vector(name)) }
    let result = Matrix(rows: names.count, columns: vectors.first?.columns ?? 0)
    for (row, vector) in vectors.enumerated() {
      let values = vector.row(0)
      result.withMutableRow(row) { target in
        for column in values.indices { target[column] = values[column] }
      }
    }
    return result
  }

  /// A root-mean-square norm: `NAME.weight`.
  ///
  /// - Parameter weightOffset: what is added to each weight: 1 for Gemma, else 0.
  func rmsNorm(
    _ name: String, epsilon: Double, weightOffset: Float = 0
  ) throws(ArchitectureFault) -> Normalization {
    .rootMeanSquare(
      weight: try vector(name + ".weight"), epsilon: Float(epsilon), weightOffset: weightOffset)
  }

  /// A layer norm: `NAME.weight` and `NAME.bias`.
  func layerNorm(
    _ name: String, epsilon: Double, hasBias: Bool = true
  ) throws(ArchitectureFault) -> Normalization {
    .layer(
      weight: try vector(name + ".weight"), bias: hasBias ? try vector(name + ".bias") : nil,
      epsilon: Float(epsilon))
  }
}
