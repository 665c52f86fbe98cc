import CKernels
import TensorCore

/// How hidden states stand between two layers, and so how they travel between two nodes.
public enum HiddenFormat: String, Sendable, CaseIterable {
  /// As they are, in 4 bytes an element.
  case f32
  /// Rounded to 11 significant bits, in 2 bytes an element and 1 a row: a row's largest exponent,
  /// and 16-bit floats relative to it. Layers behind each other on one node hand on the same
  /// rounded states as those on two, so that cuts change nothing.
  case half

  /// Bytes of a row on its way.
  public func byteCount(columns: Int) -> Int {
    switch self {
    case .f32: 4 * columns
    case .half: 1 + 2 * columns
    }
  }

  /// Appends a row's bytes, little-endian.
  ///
  /// Precondition: for `half`, the row was rounded (`ComputeContext.round`).
  public func append(_ row: Span<Float>, to bytes: inout [UInt8]) {
    switch self {
    case .f32:
      unsafe row.bytes.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
    case .half:
      let first = bytes.count
      bytes.append(contentsOf: repeatElement(0, count: byteCount(columns: row.count)))
      unsafe row.withUnsafeBufferPointer { row in
        unsafe bytes.withUnsafeMutableBufferPointer { bytes in
          guard let from = row.baseAddress, let to = bytes.baseAddress else { return }
          unsafe bytes[first] = ck_row_to_wire(from, row.count, to + first + 1)
        }
      }
    }
  }

  /// Reads a row from its bytes.
  ///
  /// Precondition: there are `byteCount` of them.
  public func read(_ bytes: Span<UInt8>, into row: inout MutableSpan<Float>) {
    precondition(bytes.count == byteCount(columns: row.count), "\(bytes.count) bytes of a row")
    unsafe bytes.withUnsafeBufferPointer { source in
      unsafe row.withUnsafeMutableBufferPointer { target in
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        switch self {
        case .f32:
          unsafe UnsafeMutableRawPointer(to).copyMemory(from: from, byteCount: source.count)
        case .half:
          unsafe ck_row_from_wire(from + 1, target.count, from[0], to)
        }
      }
    }
  }
}

extension ComputeContext {
  /// Rounds hidden states, in place, to what their format holds.
  public func round(_ hidden: Matrix, to format: HiddenFormat, rows: Int) {
    checkRows(hidden, rows)
    guard format == .half else { return }
    divide(rows, costPerItem: hidden.columns) { part in
      for row in part {
        unsafe ck_round_for_wire(hidden.pointer + row * hidden.stride, hidden.columns)
      }
    }
  }
}
