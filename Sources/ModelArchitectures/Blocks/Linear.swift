import TensorCore
import TensorKernels

/// A projection y = W x + b.
///
/// Shapes: weights [output, input], bias [output], x [T, input], y [T, output].
struct Linear: Sendable {
  let weights: PackedMatrix
  let bias: Matrix?

  func callAsFunction(_ input: LinearInput, _ pass: ForwardPass, into output: Matrix) {
    pass.observer?.observe(weights, input: input.values, rows: pass.rows)
    pass.compute.multiply(
      weights, input.values, quantized: input.codes, rows: pass.rows, bias: bias, into: output)
  }
}

/// Activations on their way into projections: floats, and their int8 form where a projection
/// multiplies in integers. Several projections share one input, so it is quantized once.
struct LinearInput {
  let values: Matrix
  let codes: QuantizedActivations?

  init(
    _ values: Matrix, codes: QuantizedActivations, for projections: [Linear], _ pass: ForwardPass
  ) {
    self.values = values
    if projections.contains(where: { $0.weights.format.needsQuantizedActivations }) {
      pass.compute.quantize(values, rows: pass.rows, into: codes)
      self.codes = codes
    } else {
      self.codes = nil
    }
  }
}
