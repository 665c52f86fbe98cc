import TensorKernels

/// A way to store weights in fewer bits, with both directions: encoder and reference decoder.
///
/// A scheme treats every row (output channel) alone, so bands of rows can be encoded in any
/// order and on any number of threads, and the bytes are the same.
public protocol QuantizationScheme: Sendable {
  /// The name in recipes and files, such as `q4`.
  var name: String { get }
  /// The encoding the kernels multiply with.
  var format: WeightFormat { get }
  /// The arrays that hold a matrix, in their order on disk.
  func planes(rows: Int, columns: Int) -> [PlaneLayout]
  /// Replaces `planes` by the canonical bytes of these rows.
  ///
  /// Shapes: `rows` holds `rowCount` × `columns` floats, row after row.
  /// Precondition: all floats are finite.
  func encode(
    _ rows: Span<Float>, rowCount: Int, columns: Int, options: EncodingOptions,
    into planes: inout [[UInt8]])
  /// The values that the bytes of some rows stand for.
  ///
  /// Shapes: `floats` takes `rowCount` × `columns` numbers.
  /// Throws: `QuantizationFault` where a plane has another length than its layout says.
  func decode(
    planes: [[UInt8]], rowCount: Int, columns: Int, into floats: inout MutableSpan<Float>
  ) throws(QuantizationFault)
}

extension QuantizationScheme {
  /// Encodes with the usual effort, and nothing known about the columns.
  public func encode(
    _ rows: Span<Float>, rowCount: Int, columns: Int, into planes: inout [[UInt8]]
  ) {
    encode(rows, rowCount: rowCount, columns: columns, options: .standard, into: &planes)
  }

  /// Stored bits per weight, scales and padding included.
  public func bitsPerWeight(rows: Int, columns: Int) -> Double {
    guard rows > 0, columns > 0 else { return 0 }
    let bytes = planes(rows: rows, columns: columns).reduce(0) { $0 + $1.byteCount }
    return Double(bytes) * 8 / (Double(rows) * Double(columns))
  }

  /// Stored bytes.
  public func byteCount(rows: Int, columns: Int) -> Int {
    planes(rows: rows, columns: columns).reduce(0) { $0 + $1.byteCount }
  }

  /// Checks that every plane holds the bytes of `rowCount` rows.
  func checkLengths(
    _ planes: [[UInt8]], rowCount: Int, columns: Int
  ) throws(QuantizationFault) {
    let layouts = self.planes(rows: rowCount, columns: columns)
    guard planes.count == layouts.count else {
      throw QuantizationFault(
        "planeCount", "\(name) has \(layouts.count) planes, found \(planes.count)")
    }
    for (plane, layout) in zip(planes, layouts) where plane.count != layout.byteCount {
      throw QuantizationFault(
        "planeLength",
        "plane \(layout.name) of \(rowCount) rows in \(name) has \(layout.byteCount) bytes, "
          + "found \(plane.count)")
    }
  }
}

/// The schemes by name.
public enum Schemes {
  public static let q4: any QuantizationScheme = Q4Scheme()
  public static let q8: any QuantizationScheme = Q8Scheme()
  public static let f16: any QuantizationScheme = PassThroughScheme(.f16)
  public static let bf16: any QuantizationScheme = PassThroughScheme(.bf16)
  public static let f32: any QuantizationScheme = PassThroughScheme(.f32)

  /// What recipes choose from. A new scheme is one file in `Schemes/` and one entry here.
  public static let all: [any QuantizationScheme] = [q4, q8, f16, bf16, f32]
  /// ggml's types, which come in from GGUF files and run as they are.
  public static let ggml: [any QuantizationScheme] =
    WeightFormat.allCases.filter(\.isGGML).map(GGMLScheme.init)
  /// What checkpoints and bundles may hold.
  public static let stored = all + ggml

  /// The scheme of a stored tensor; nil for a name that no scheme has.
  public static func stored(named name: String) -> (any QuantizationScheme)? {
    stored.first { $0.name == name }
  }

  /// Throws: `QuantizationFault` for a name that no scheme has.
  public static func named(_ name: String) throws(QuantizationFault) -> any QuantizationScheme {
    guard let scheme = all.first(where: { $0.name == name }) else {
      let names = all.map(\.name).joined(separator: ", ")
      throw QuantizationFault(
        "unknownScheme", "there is no scheme named \"\(name)\"; choose one of \(names)",
        exitStatus: .usage)
    }
    return scheme
  }
}
