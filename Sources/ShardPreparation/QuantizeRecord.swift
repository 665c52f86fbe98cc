import Quantization
import Synchronization
import TensorCore

/// Which files are finished, on disk and in memory.
final class QuantizeRecord: Sendable {
  private let progress: Mutex<QuantizeProgress>

  init(_ kept: QuantizeProgress) { progress = Mutex(kept) }

  /// The sums of a finished file's tensors; nil where it has to be written.
  func kept(_ file: QuantizePlan.File) -> [SquareSums]? {
    progress.withLock { progress in
      guard let finished = progress.files[file.name], finished.sums.count == file.jobs.count
      else { return nil }
      return finished.sums
    }
  }

  /// Brings a file to the disk, gives it its name and notes that it is finished.
  func finish(_ written: QuantizeEncoding.Written, in directory: String) throws {
    try written.writer.finish()
    let path = written.writer.path
    let (byteCount, digest) = try QuantizeProgress.digest(of: path)
    try progress.withLock { progress in
      progress.add(
        Directory.name(of: path),
        .init(
          byteCount: byteCount, digest: digest, sums: written.sums, gains: written.gains))
      try progress.write(to: directory)
    }
  }

  /// How calibration changed each tensor, by name.
  var gains: [String: CalibrationGain] {
    progress.withLock { progress in
      progress.files.values.reduce(into: [:]) { gains, file in
        gains.merge(file.gains) { first, _ in first }
      }
    }
  }
}
