import Checkpoints
import Quantization
import Synchronization
import TensorCore
import TensorKernels

/// Writes one output file: bands of rows are read, encoded, compared and written on all threads.
///
/// Bands depend on shapes alone and their sums are added in order, so that neither the bytes nor
/// the report depend on the number of threads.
struct QuantizeEncoding {
  let file: QuantizePlan.File
  let pool: WorkerPool

  /// Weights of one band.
  private static let bandElementCount = 256 << 10

  private struct Band {
    let job: Int
    let rows: Range<Int>
  }

  /// Σw² and Σ(w − decoded)² of one tensor.
  struct Sums: Sendable, Equatable {
    var power = 0.0
    var errorPower = 0.0
  }

  private var bands: [Band] {
    file.jobs.enumerated().flatMap { index, job in
      let step = max(1, Self.bandElementCount / job.stored.columns)
      return stride(from: 0, to: job.stored.rows, by: step).map { first in
        Band(job: index, rows: first..<min(first + step, job.stored.rows))
      }
    }
  }

  /// Writes the file to `path` and returns the sums of each of its tensors.
  ///
  /// - Parameter advance: receives source bytes as they are done, from any thread.
  func write(to path: String, advance: @Sendable (Int) -> Void) throws -> [Sums] {
    let writer = try SafetensorsWriter(
      path: path,
      tensors: file.jobs.flatMap { job in
        job.stored.planes.enumerated().map { index, plane in
          (job.stored.storageName(plane: index), plane.dataType, plane.shape)
        }
      },
      metadata: [("format", "pt")])
    let bands = bands
    let results = Mutex([Sums](repeating: Sums(), count: bands.count))
    let failure = Mutex<(band: Int, error: any Error)?>(nil)
    pool.run(chunks: bands.count) { index in
      // The first failure in order is reported, so bands before it still run.
      if let failed = failure.withLock({ $0?.band }), failed < index { return }
      do {
        let sums = try encode(bands[index], into: writer)
        results.withLock { $0[index] = sums }
        let source = file.jobs[bands[index].job].source
        advance(bands[index].rows.count * source.spec.columns * source.entry.dataType.byteCount)
      } catch {
        failure.withLock { if ($0?.band ?? Int.max) > index { $0 = (index, error) } }
      }
    }
    if let error = failure.withLock({ $0?.error }) { throw error }
    try writer.finish()
    var sums = [Sums](repeating: Sums(), count: file.jobs.count)
    for (band, part) in zip(bands, results.withLock { $0 }) {
      sums[band.job].power += part.power
      sums[band.job].errorPower += part.errorPower
    }
    return sums
  }

  private func encode(_ band: Band, into writer: SafetensorsWriter) throws -> Sums {
    let job = file.jobs[band.job]
    let stored = job.stored
    let floats = try job.source.floats(rows: band.rows)
    try checkRange(floats, of: job, rows: band.rows)
    var planes: [[UInt8]] = []
    stored.scheme.encode(
      floats.span, rowCount: band.rows.count, columns: stored.columns, into: &planes)
    for (index, plane) in stored.planes.enumerated() {
      try writer.write(
        stored.storageName(plane: index), planes[index],
        at: band.rows.lowerBound * plane.bytesPerRow)
    }
    var decoded = [Float](repeating: 0, count: floats.count)
    var span = decoded.mutableSpan
    try stored.scheme.decode(
      planes: planes, rowCount: band.rows.count, columns: stored.columns, into: &span)
    return Self.sums(floats.span, decoded.span)
  }

  private static func sums(_ floats: Span<Float>, _ decoded: Span<Float>) -> Sums {
    var sums = Sums()
    for index in floats.indices {
      let weight = Double(floats[index])
      let error = weight - Double(decoded[index])
      sums.power += weight * weight
      sums.errorPower += error * error
    }
    return sums
  }

  /// The largest magnitude that rounds to a finite 16-bit float.
  private static let float16Limit: Float = 65_520

  private func checkRange(
    _ floats: [Float], of job: QuantizePlan.Job, rows: Range<Int>
  ) throws(PreparationFault) {
    guard job.stored.scheme.format == .f16, job.source.entry.dataType != .f16,
      let index = floats.firstIndex(where: { abs($0) >= Self.float16Limit })
    else { return }
    let columns = job.stored.columns
    let name = job.source.entry.name
    throw PreparationFault(
      "outOfRange",
      "tensor \(name) holds \(floats[index]) at row \(rows.lowerBound + index / columns), column "
        + "\(index % columns), which a 16-bit float cannot hold; choose another scheme than f16",
      context: ["file": job.source.checkpoint.path(of: name), "tensor": name])
  }
}
