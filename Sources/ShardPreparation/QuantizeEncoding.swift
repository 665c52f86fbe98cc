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
  let effort: Effort
  /// Tensors that are encoded already, by name.
  var calibrated: [String: CalibratedTensor.Result] = [:]

  /// Weights of one band: what is made of them stays in a core's own cache.
  private static let bandElementCount = 96 << 10
  /// The same where the checkpoint stores [input, output], and rows have to be gathered.
  private static let gatheredElementCount = 1 << 20

  private struct Band {
    let job: Int
    let rows: Range<Int>
  }

  /// Memory that the bands of one thread use one after the other.
  private struct Buffers {
    var floats: [Float] = []
    var decoded: [Float] = []
    var planes: [[UInt8]] = []
  }

  private final class Slot {
    var buffers = Buffers()
  }

  /// A file whose bytes are all handed to the system.
  struct Written: Sendable {
    let writer: SafetensorsWriter
    let sums: [SquareSums]
    var gains: [String: CalibrationGain] = [:]
  }

  private var bands: [Band] {
    file.jobs.enumerated().flatMap { index, job -> [Band] in
      if calibrated[job.stored.name] != nil { return [] }
      let elements =
        job.source.spec.source.isTransposed ? Self.gatheredElementCount : Self.bandElementCount
      let step = max(1, elements / job.stored.columns)
      return stride(from: 0, to: job.stored.rows, by: step).map { first in
        Band(job: index, rows: first..<min(first + step, job.stored.rows))
      }
    }
  }

  /// Writes the file beside `path`; `finish` of its writer gives it that name.
  ///
  /// - Parameter advance: receives source bytes as they are done, from any thread.
  func write(to path: String, advance: @Sendable (Int) -> Void) throws -> Written {
    let writer = try SafetensorsWriter(
      path: path,
      tensors: file.jobs.flatMap { job in
        job.stored.planes.enumerated().map { index, plane in
          (job.stored.storageName(plane: index), plane.dataType, plane.shape)
        }
      },
      metadata: [("format", "pt")])
    let bands = bands
    let slots = (0..<pool.threads).map { _ in Slot() }
    let results = Mutex([SquareSums](repeating: SquareSums(), count: bands.count))
    let failure = Mutex<(band: Int, error: any Error)?>(nil)
    pool.run(chunks: bands.count) { index, slot in
      // The first failure in order is reported, so bands before it still run.
      if let failed = failure.withLock({ $0?.band }), failed < index { return }
      do {
        var buffers = Buffers()
        swap(&buffers, &slots[slot].buffers)
        let sums = try encode(
          bands[index], into: writer, &buffers.floats, &buffers.decoded, &buffers.planes)
        swap(&buffers, &slots[slot].buffers)
        results.withLock { $0[index] = sums }
        let source = file.jobs[bands[index].job].source
        advance(bands[index].rows.count * source.spec.columns * source.entry.dataType.byteCount)
      } catch {
        failure.withLock { if ($0?.band ?? Int.max) > index { $0 = (index, error) } }
      }
    }
    if let error = failure.withLock({ $0?.error }) { throw error }
    var sums = [SquareSums](repeating: SquareSums(), count: file.jobs.count)
    for (band, part) in zip(bands, results.withLock { $0 }) {
      sums[band.job].power += part.power
      sums[band.job].errorPower += part.errorPower
    }
    for (index, job) in file.jobs.enumerated() {
      guard let result = calibrated[job.stored.name] else { continue }
      for band in result.bands {
        try write(band.planes, of: job.stored, rows: band.rows, to: writer)
      }
      sums[index] = result.sums
      advance(job.source.byteCount)
    }
    writer.beginSynchronizing()
    return Written(
      writer: writer, sums: sums, gains: calibrated.mapValues(\.gain))
  }

  private func write(
    _ planes: [[UInt8]], of stored: StoredTensor, rows: Range<Int>, to writer: SafetensorsWriter
  ) throws {
    for (index, plane) in stored.planes.enumerated() {
      try writer.write(
        stored.storageName(plane: index), planes[index],
        at: rows.lowerBound * plane.bytesPerRow)
    }
  }

  private func encode(
    _ band: Band, into writer: SafetensorsWriter, _ floats: inout [Float],
    _ decoded: inout [Float], _ planes: inout [[UInt8]]
  ) throws -> SquareSums {
    let job = file.jobs[band.job]
    let stored = job.stored
    let options = EncodingOptions(effort: effort)
    try job.source.read(rows: band.rows, into: &floats)
    try checkRange(floats, of: job, rows: band.rows)
    stored.scheme.encode(
      floats.span, rowCount: band.rows.count, columns: stored.columns, options: options,
      into: &planes)
    try write(planes, of: stored, rows: band.rows, to: writer)
    if decoded.count != floats.count {
      decoded = [Float](repeating: 0, count: floats.count)
    }
    var span = decoded.mutableSpan
    try stored.scheme.decode(
      planes: planes, rowCount: band.rows.count, columns: stored.columns, into: &span)
    var sums = SquareSums()
    sums.add(floats.span, decoded.span)
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
