import TensorCore
import TensorKernels

/// A norm over the channels of each token.
enum Normalization: Sendable {
  /// y = x / √(mean x² + ε) · (w + offset). Source: Zhang & Sennrich 2019, equation 4.
  case rootMeanSquare(weight: Matrix, epsilon: Float, weightOffset: Float)
  /// y = (x − mean) / √(variance + ε) · w + b. Source: Ba et al. 2016, equation 4.
  case layer(weight: Matrix, bias: Matrix?, epsilon: Float)

  /// Shapes: `input` [T, hidden] → `output` [T, hidden].
  func callAsFunction(_ input: Matrix, _ pass: ForwardPass, into output: Matrix) {
    switch self {
    case .rootMeanSquare(let weight, let epsilon, let offset):
      pass.compute.rmsNorm(
        input, weight: weight, epsilon: epsilon, weightOffset: offset, rows: pass.rows,
        into: output)
    case .layer(let weight, let bias, let epsilon):
      pass.compute.layerNorm(
        input, weight: weight, bias: bias, epsilon: epsilon, rows: pass.rows, into: output)
    }
  }
}
