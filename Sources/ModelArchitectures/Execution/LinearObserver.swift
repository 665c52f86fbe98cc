import TensorCore
import TensorKernels

/// Sees what goes into every product with a weight matrix, before it is computed: for statistics of
/// activations.
public protocol LinearObserver: Sendable {
  /// Shapes: the first `rows` rows of `input` [≥ rows, weights.columns].
  func observe(_ weights: PackedMatrix, input: Matrix, rows: Int)
}
