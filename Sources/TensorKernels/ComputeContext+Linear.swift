import CKernels
import TensorCore

extension ComputeContext {
  /// Rounds the first `rows` rows of `x` to 8 bits and to 13 bits.
  ///
  /// Precondition: `q` has the columns of `x` and room for the rows.
  public func quantize(_ x: Matrix, rows: Int, into q: QuantizedActivations) {
    precondition(x.columns == q.columns, "\(x.columns) columns into \(q.columns)")
    precondition(rows <= x.rowCapacity && rows <= q.rowCapacity, "\(rows) rows do not fit")
    divide(rows, costPerItem: x.columns) { part in
      let function = unsafe kernels.functions.quantize
      var activations = unsafe q.activations
      for row in part {
        unsafe function(x.pointer + row * x.stride, x.columns, row, &activations)
      }
    }
  }

  /// Multiplies the first `rows` rows of activations by a weight matrix:
  /// y[t, r] = Σ w[r, c] · x[t, c] (+ bias[0, r]).
  ///
  /// Shapes: x [rows, w.columns], y [rows, w.rows], bias [1, w.rows].
  ///
  /// Precondition: q4 and q8 weights need `quantized`, made from `x`.
  public func multiply(
    _ w: PackedMatrix, _ x: Matrix, quantized: QuantizedActivations?, rows: Int,
    bias: Matrix? = nil, into y: Matrix
  ) {
    precondition(x.columns == w.columns, "\(x.columns) activations for \(w.columns) columns")
    precondition(y.columns >= w.rows, "\(w.rows) results into \(y.columns) columns")
    precondition(rows <= x.rowCapacity && rows <= y.rowCapacity, "\(rows) rows do not fit")
    precondition(bias.map { $0.columns >= w.rows } ?? true, "a bias for each of \(w.rows) rows")
    if w.format.needsQuantizedActivations {
      precondition(quantized != nil, "\(w.format.rawValue) weights need quantized activations")
      precondition(
        quantized.map { $0.columns == w.columns && $0.rowCapacity >= rows } ?? true,
        "quantized activations of another shape")
    }
    guard rows > 0, w.groups > 0 else { return }
    let activations =
      unsafe quantized.map { unsafe $0.activations } ?? ck_activations.none
    let product = unsafe ck_product(
      weights: w.weights, x: x.pointer, x_stride: x.stride, quantized: activations,
      tokens: rows, bias: bias.map { unsafe UnsafePointer($0.pointer) }, y: y.pointer,
      y_stride: y.stride)
    let function = unsafe kernels.functions.multiply
    divide(w.groups, costPerItem: Self.cost(w, rows: rows)) { part in
      var product = unsafe product
      unsafe function(&product, part.lowerBound, part.upperBound)
    }
  }

  /// Work of one group of 16 weight rows, in the unit of `leastCostPerChunk`.
  private static func cost(_ w: PackedMatrix, rows: Int) -> Int {
    16 * w.columns * max(1, rows / 2) / 8
  }

  /// Writes the dequantized rows `ids` of `w`, an embedding table, to the rows of `y`.
  ///
  /// Precondition: every id is a row of `w`.
  public func gatherRows(_ w: PackedMatrix, _ ids: [Int32], into y: Matrix) {
    precondition(ids.count <= y.rowCapacity, "\(ids.count) rows do not fit")
    precondition(w.columns <= y.columns, "\(w.columns) values into \(y.columns) columns")
    for (row, id) in ids.enumerated() {
      precondition(id >= 0 && Int(id) < w.rows, "row \(id) of \(w.rows)")
      var weights = unsafe w.weights
      unsafe kernels.functions.gather(&weights, Int(id), y.pointer + row * y.stride)
    }
  }
}

extension ck_activations {
  /// For weights that take activations as floats: never read.
  static var none: ck_activations {
    unsafe ck_activations(
      codes: nil, raised_codes: nil, scales: nil, sums: nil, offsets: nil, fine_codes: nil,
      fine_scales: nil, fine_offsets: nil, code_stride: 0, blocks: 0)
  }
}
