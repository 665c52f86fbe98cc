import TensorCore
import TensorKernels

/// The part of a block that treats each token on its own.
protocol FeedForward: Sendable {
  /// Shapes: `input` [T, hidden] → `result` [T, hidden].
  func callAsFunction(_ input: Matrix, _ pass: ForwardPass, into result: Matrix)
}

/// down(activation(gate(x)) · up(x)). Source: Shazeer 2020, "GLU Variants", equation 5.
struct GatedFeedForward: FeedForward {
  let gate: Linear
  let up: Linear
  let down: Linear
  let activation: Activation

  func callAsFunction(_ input: Matrix, _ pass: ForwardPass, into result: Matrix) {
    let work = pass.workspace
    let shared = LinearInput(input, codes: work.hiddenCodes, for: [gate, up], pass)
    gate(shared, pass, into: work.gate)
    up(shared, pass, into: work.up)
    pass.compute.gate(work.gate, activation, times: work.up, rows: pass.rows)
    let downInput = LinearInput(work.gate, codes: work.intermediateCodes, for: [down], pass)
    down(downInput, pass, into: result)
  }
}

/// down(activation(up(x))). Source: Vaswani et al. 2017, section 3.3.
struct PlainFeedForward: FeedForward {
  let up: Linear
  let down: Linear
  let activation: Activation

  func callAsFunction(_ input: Matrix, _ pass: ForwardPass, into result: Matrix) {
    let work = pass.workspace
    up(LinearInput(input, codes: work.hiddenCodes, for: [up], pass), pass, into: work.up)
    pass.compute.activate(work.up, activation, rows: pass.rows)
    let downInput = LinearInput(work.up, codes: work.intermediateCodes, for: [down], pass)
    down(downInput, pass, into: result)
  }
}
