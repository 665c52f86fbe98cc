import Checkpoints
import Quantization
import TensorCore
import TensorKernels

/// All files of a quantized checkpoint, one after the other. While the pool encodes a file, a
/// thread beside it brings the one before to the disk and reads the next one's weights, digesting
/// both.
struct QuantizeRun {
  let plan: QuantizePlan
  let effort: Effort
  /// The staging directory.
  let directory: String
  let digests: SourceDigests
  let pool: WorkerPool
  let record: QuantizeRecord
  /// Receives source bytes as they are done, from any thread.
  let advance: @Sendable (Int) -> Void

  /// Files in the order of their weights in the checkpoint, so that it is read from beginning to
  /// end.
  private var order: [Int] {
    let places = plan.files.map { file in
      file.jobs.map(\.source.place).map { ($0.file, $0.bytes.lowerBound) }.min { $0 < $1 }
        ?? (0, 0)
    }
    return plan.files.indices.sorted {
      (places[$0].0, places[$0].1, $0) < (places[$1].0, places[$1].1, $1)
    }
  }

  /// Up to where each weight file is read when a file of the output is done.
  private func ends(of file: QuantizePlan.File) -> [Int] {
    var ends: [Int] = []
    for place in file.jobs.map(\.source.place) {
      while ends.count <= place.file { ends.append(0) }
      ends[place.file] = max(ends[place.file], place.bytes.upperBound)
    }
    return ends
  }

  /// Writes the files that are not kept; returns the sums of each tensor of each file.
  func encodeFiles() throws -> [[SquareSums]] {
    var sums = [[SquareSums]](repeating: [], count: plan.files.count)
    var waiting: [Int] = []
    for index in order {
      let file = plan.files[index]
      if let kept = record.kept(file) {
        sums[index] = kept
        advance(file.sourceByteCount)
      } else {
        waiting.append(index)
      }
    }
    let side = SideWork()
    defer { side.finish() }
    var last: QuantizeEncoding.Written?
    for (turn, index) in waiting.enumerated() {
      let before = last
      let ahead = waiting[turn...].prefix(2).map { ends(of: plan.files[$0]) }
      side.start { [digests, directory, record] in
        if let before { try record.finish(before, in: directory) }
        for ends in ahead { try digests.read(upTo: ends) }
      }
      let file = plan.files[index]
      let written = try QuantizeEncoding(file: file, pool: pool, effort: effort)
        .write(to: "\(directory)/\(file.name)", advance: advance)
      try side.wait()
      sums[index] = written.sums
      last = written
    }
    if let last { try record.finish(last, in: directory) }
    return sums
  }
}
