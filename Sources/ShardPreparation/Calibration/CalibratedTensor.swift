import ModelArchitectures
import Quantization
import StrictJSON
import Synchronization
import TensorCore
import TensorKernels

/// How calibration changed one tensor.
public struct CalibrationGain: Sendable, Equatable {
  public enum Method: String, Sendable, CaseIterable {
    /// As without calibration, which was best.
    case dataFree = "data-free"
    /// Scales and codes weighted by how large the activations of each column are.
    case weighted
    /// The same, and each column takes over what those before it have lost.
    case errorFeedback = "error-feedback"
  }

  public let method: Method
  /// Relative error of the outputs on held-out text, by method: √(Σ(y − y′)² / Σy²).
  public let errors: [Method: Double]

  public var error: Double { errors[method] ?? 0 }
  public var dataFreeError: Double { errors[.dataFree] ?? 0 }

  var json: JSONValue {
    var members = JSONObject()
    for method in Method.allCases {
      if let error = errors[method] {
        members[method.rawValue] = Double(Quantity.fixed(error, digits: 8)).map { .double($0) }
      }
    }
    return ["method": .string(method.rawValue), "output_errors": .object(members)]
  }

  init(method: Method, errors: [Method: Double]) {
    self.method = method
    self.errors = errors
  }

  init?(json: JSONValue) {
    guard let name = json["method"]?.string, let method = Method(rawValue: name),
      let members = json["output_errors"]?.object
    else { return nil }
    var errors: [Method: Double] = [:]
    for (name, value) in members.members {
      guard let method = Method(rawValue: name), let error = value.double else { return nil }
      errors[method] = error
    }
    self.init(method: method, errors: errors)
  }
}

/// One matrix that is encoded in several ways, of which the best on held-out text is kept.
struct CalibratedTensor {
  let job: QuantizePlan.Job
  let effort: Effort
  let importance: [Float]
  let feedback: ErrorFeedback?
  /// Rows of activations of the held-out text.
  let heldOut: Matrix
  let compute: ComputeContext

  struct Result {
    /// Planes of each band of rows.
    let bands: [(rows: Range<Int>, planes: [[UInt8]])]
    let sums: SquareSums
    let gain: CalibrationGain
  }

  private typealias Method = CalibrationGain.Method

  private struct Band: Sendable {
    var floats: [Float] = []
    var planes: [Method: [[UInt8]]] = [:]
  }

  private var ranges: [Range<Int>] {
    let step = max(64, (128 << 10) / job.stored.columns / 16 * 16)
    return stride(from: 0, to: job.stored.rows, by: step).map {
      $0..<min($0 + step, job.stored.rows)
    }
  }

  func run() throws -> Result {
    let ranges = ranges
    let found = Mutex([Band](repeating: Band(), count: ranges.count))
    try compute.pool.runThrowing(chunks: ranges.count) { index in
      let band = try encode(ranges[index])
      found.withLock { $0[index] = band }
    }
    let bands = found.withLock { $0 }
    let power = try outputPower(ranges, bands, method: nil)
    var errors: [Method: Double] = [:]
    for method in Method.allCases where bands[0].planes[method] != nil {
      let error = try outputPower(ranges, bands, method: method)
      errors[method] = power > 0 ? (error / power).squareRoot() : 0
    }
    let best = Method.allCases.min {
      (errors[$0] ?? .infinity) < (errors[$1] ?? .infinity)
    }
    let method = best ?? .dataFree
    var sums = SquareSums()
    for (range, band) in zip(ranges, bands) {
      let values = try decoded(band, method, rows: range.count)
      sums.add(band.floats.span, values.span)
    }
    return Result(
      bands: zip(ranges, bands).map { ($0, $1.planes[method] ?? []) }, sums: sums,
      gain: CalibrationGain(method: method, errors: errors))
  }

  private func encode(_ rows: Range<Int>) throws -> Band {
    var band = Band()
    let columns = job.stored.columns
    try job.source.read(rows: rows, into: &band.floats)
    func encoded(_ options: EncodingOptions) -> [[UInt8]] {
      var planes: [[UInt8]] = []
      job.stored.scheme.encode(
        band.floats.span, rowCount: rows.count, columns: columns, options: options,
        into: &planes)
      return planes
    }
    band.planes[.dataFree] = encoded(EncodingOptions(effort: effort))
    let weighted = encoded(EncodingOptions(effort: effort, importance: importance))
    band.planes[.weighted] = weighted
    if let feedback {
      var planes = weighted
      feedback.encode(band.floats.span, rowCount: rows.count, planes: &planes)
      band.planes[.errorFeedback] = planes
    }
    return band
  }

  private func decoded(_ band: Band, _ method: Method, rows: Int) throws -> [Float] {
    var values = [Float](repeating: 0, count: band.floats.count)
    var span = values.mutableSpan
    try job.stored.scheme.decode(
      planes: band.planes[method] ?? [], rowCount: rows, columns: job.stored.columns,
      into: &span)
    return values
  }

  /// Σ y² of the held-out activations times the weights, or times what a method loses of them.
  private func outputPower(
    _ ranges: [Range<Int>], _ bands: [Band], method: Method?
  ) throws -> Double {
    let columns = job.stored.columns
    let matrix = PackedMatrix(.f32, rows: job.stored.rows, columns: columns)
    try compute.pool.runThrowing(chunks: ranges.count) { index in
      var floats = bands[index].floats
      if let method {
        let values = try decoded(bands[index], method, rows: ranges[index].count)
        for place in floats.indices { floats[place] -= values[place] }
      }
      var planes: [[UInt8]] = []
      Schemes.f32.encode(
        floats.span, rowCount: ranges[index].count, columns: columns, into: &planes)
      let bytes = planes[0]
      unsafe matrix.store(plane: 0, rows: ranges[index], bytes.span.bytes)
    }
    let rows = heldOut.rowCapacity
    let output = Matrix(rows: rows, columns: job.stored.rows)
    compute.multiply(matrix, heldOut, quantized: nil, rows: rows, into: output)
    var power = 0.0
    for row in 0..<rows {
      output.withRow(row) { values in
        for column in 0..<values.count { power += Double(values[column]) * Double(values[column]) }
      }
    }
    return power
  }
}
