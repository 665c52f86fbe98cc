import CKernels
import TensorCore

extension ComputeContext {
  /// Root-mean-square norm: y = x / √(mean x² + ε) · (weight + offset).
  ///
  /// Shapes: x, y [rows, columns]; weight [1, columns]. `y` may be `x`.
  public func rmsNorm(
    _ x: Matrix, weight: Matrix, epsilon: Float, weightOffset: Float, rows: Int, into y: Matrix
  ) {
    checkRows(x, rows)
    checkRows(y, rows)
    precondition(weight.columns == x.columns && y.columns == x.columns, "norm of another width")
    let function = unsafe kernels.functions.rms_norm
    divide(rows, costPerItem: x.columns) { part in
      for row in part {
        unsafe function(
          x.pointer + row * x.stride, weight.pointer, weightOffset, epsilon, x.columns,
          y.pointer + row * y.stride)
      }
    }
  }

  /// Layer norm: y = (x - mean) / √(variance + ε) · weight (+ bias).
  ///
  /// Shapes: x, y [rows, columns]; weight, bias [1, columns]. `y` may be `x`.
  public func layerNorm(
    _ x: Matrix, weight: Matrix, bias: Matrix?, epsilon: Float, rows: Int, into y: Matrix
  ) {
    checkRows(x, rows)
    checkRows(y, rows)
    precondition(weight.columns == x.columns && y.columns == x.columns, "norm of another width")
    precondition(bias.map { $0.columns == x.columns } ?? true, "bias of another width")
    let function = unsafe kernels.functions.layer_norm
    let bias = unsafe bias.map { unsafe UnsafePointer($0.pointer) }
    divide(rows, costPerItem: x.columns * 2) { part in
      for row in part {
        unsafe function(
          x.pointer + row * x.stride, weight.pointer, bias, epsilon, x.columns,
          y.pointer + row * y.stride)
      }
    }
  }

  /// Root-mean-square norm of each head by itself, in place.
  ///
  /// Shapes: x [rows, ≥ heads · headDimension]; weight [1, headDimension], the same for all heads.
  public func headRMSNorm(
    _ x: Matrix, heads: Int, headDimension: Int, weight: Matrix, epsilon: Float,
    weightOffset: Float, rows: Int
  ) {
    checkRows(x, rows)
    precondition(heads * headDimension <= x.columns, "\(heads) heads in \(x.columns) columns")
    precondition(weight.columns == headDimension, "norm of another width")
    let function = unsafe kernels.functions.rms_norm
    divide(rows, costPerItem: x.columns) { part in
      for row in part {
        for head in 0..<heads {
          let start = unsafe x.pointer + (row * x.stride + head * headDimension)
          unsafe function(start, weight.pointer, weightOffset, epsilon, headDimension, start)
        }
      }
    }
  }

  /// Layer norm of each head by itself, in place.
  ///
  /// Shapes: x [rows, ≥ heads · headDimension]; weight, bias [heads, headDimension].
  public func headLayerNorm(
    _ x: Matrix, heads: Int, headDimension: Int, weight: Matrix, bias: Matrix?, epsilon: Float,
    rows: Int
  ) {
    checkRows(x, rows)
    precondition(heads * headDimension <= x.columns, "\(heads) heads in \(x.columns) columns")
    precondition(
      weight.columns == headDimension && weight.rowCapacity >= heads, "norm of another shape")
    precondition(
      bias.map { $0.columns == headDimension && $0.rowCapacity >= heads } ?? true,
      "bias of another shape")
    let function = unsafe kernels.functions.layer_norm
    divide(rows, costPerItem: x.columns * 2) { part in
      for row in part {
        for head in 0..<heads {
          let start = unsafe x.pointer + (row * x.stride + head * headDimension)
          let headBias = unsafe bias.map { unsafe UnsafePointer($0.pointer + head * $0.stride) }
          unsafe function(
            start, weight.pointer + head * weight.stride, headBias, epsilon, headDimension, start)
        }
      }
    }
  }

  /// y += x
  public func add(_ x: Matrix, to y: Matrix, rows: Int) {
    checkRows(x, rows)
    checkRows(y, rows)
    precondition(x.columns == y.columns, "\(x.columns) columns to \(y.columns)")
    let function = unsafe kernels.functions.add
    divide(rows, costPerItem: x.columns / 2) { part in
      for row in part {
        unsafe function(x.pointer + row * x.stride, y.pointer + row * y.stride, x.columns)
      }
    }
  }

  /// x · factor, in place.
  public func scale(_ x: Matrix, by factor: Float, rows: Int) {
    let function = unsafe kernels.functions.scale
    inParts(of: x, rows: rows, weight: 1) { unsafe function(x.pointer + $0, factor, $1) }
  }

  /// cap · tanh(x / cap), in place.
  public func softcap(_ x: Matrix, cap: Float, rows: Int) {
    let function = unsafe kernels.functions.softcap
    inParts(of: x, rows: rows, weight: 4) { unsafe function(x.pointer + $0, cap, $1) }
  }

  /// The activation function, in place.
  public func activate(_ x: Matrix, _ activation: Activation, rows: Int) {
    let function = unsafe kernels.functions.activate
    inParts(of: x, rows: rows, weight: 4) {
      unsafe function(x.pointer + $0, activation.index, $1)
    }
  }

  /// gate = activation(gate) · up, in place.
  ///
  /// Shapes: gate, up [rows, columns].
  public func gate(_ gate: Matrix, _ activation: Activation, times up: Matrix, rows: Int) {
    checkRows(up, rows)
    precondition(gate.columns == up.columns, "\(gate.columns) columns with \(up.columns)")
    let function = unsafe kernels.functions.gate
    inParts(of: gate, rows: rows, weight: 4) { offset, count in
      // Equal columns mean equal strides, so the offsets agree.
      unsafe function(gate.pointer + offset, up.pointer + offset, activation.index, count)
    }
  }

  /// Copies columns of `x` to columns of `y` from `at` on.
  public func copyColumns(_ x: Matrix, from: Range<Int>, rows: Int, into y: Matrix, at: Int) {
    checkRows(x, rows)
    checkRows(y, rows)
    precondition(from.lowerBound >= 0 && from.upperBound <= x.columns, "columns \(from)")
    precondition(at >= 0 && at + from.count <= y.columns, "\(from.count) columns at \(at)")
    for row in 0..<rows {
      unsafe (y.pointer + (row * y.stride + at)).update(
        from: x.pointer + (row * x.stride + from.lowerBound), count: from.count)
    }
  }

  /// The column with the largest value; the lowest one wins ties.
  public func argmax(_ x: Matrix, row: Int) -> Int {
    precondition(row >= 0 && row < x.rowCapacity, "row \(row) of \(x.rowCapacity)")
    return unsafe kernels.functions.argmax(x.pointer + row * x.stride, x.columns)
  }

  /// ln Σ exp(x) over the columns of a row.
  public func logSumExp(_ x: Matrix, row: Int) -> Double {
    precondition(row >= 0 && row < x.rowCapacity, "row \(row) of \(x.rowCapacity)")
    return unsafe kernels.functions.log_sum_exp(x.pointer + row * x.stride, x.columns)
  }

  /// Rotates the heads of each row by the angles of its position, in place.
  ///
  /// Shapes: x [rows, ≥ heads · headDimension]; row t stands at `firstPosition + t`.
  public func rotate(
    _ x: Matrix, heads: Int, headDimension: Int, table: RotaryTable, firstPosition: Int, rows: Int
  ) {
    checkRows(x, rows)
    precondition(heads * headDimension <= x.columns, "\(heads) heads in \(x.columns) columns")
    precondition(table.rotaryDimensions <= headDimension, "a rotation wider than a head")
    precondition(
      firstPosition >= 0 && firstPosition + rows <= table.positions,
      "positions \(firstPosition) to \(firstPosition + rows) of \(table.positions)")
    let function = unsafe kernels.functions.rotate
    let half = table.rotaryDimensions / 2
    divide(rows, costPerItem: x.columns) { part in
      var shape = ck_rotary(
        heads: heads, head_dimension: headDimension, half_dimension: half,
        interleaved: table.interleaved ? 1 : 0)
      for row in part {
        let angle = (firstPosition + row) * half
        unsafe function(
          x.pointer + row * x.stride, table.cosines + angle, table.sines + angle, &shape)
      }
    }
  }

  func checkRows(_ x: Matrix, _ rows: Int) {
    precondition(rows >= 0 && rows <= x.rowCapacity, "\(rows) rows of \(x.rowCapacity)")
  }

  /// Runs an elementwise function over stretches of rows; `body` gets the offset of the first
  /// element and the number of elements.
  private func inParts(
    of x: Matrix, rows: Int, weight: Int, _ body: (_ offset: Int, _ count: Int) -> Void
  ) {
    checkRows(x, rows)
    // Stretches of whole cache lines; elements are independent, so any cut gives the same.
    let stretch = 2048
    let perRow = (x.columns + stretch - 1) / stretch
    divide(rows * perRow, costPerItem: min(stretch, x.columns) * weight) { part in
      for index in part {
        let (row, piece) = index.quotientAndRemainder(dividingBy: perRow)
        let start = piece * stretch
        body(row * x.stride + start, min(stretch, x.columns - start))
      }
    }
  }
}
