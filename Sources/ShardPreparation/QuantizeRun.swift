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

  /// Where the largest tensor of a file lies; small ones may stand anywhere.
  private func place(of file: QuantizePlan.File) -> (file: Int, bytes: Range<Int>) {
    let largest = file.jobs.max { $0.source.byteCount < $1.source.byteCount }
    return largest?.source.place ?? (0, 0..<0)
  }

  /// The embedding, the blocks in the order in which the checkpoint has them, so that it is read
  /// from beginning to end, and the head.
  private var order: [Int] {
    let places = plan.files.map { file in
      let place = place(of: file)
      let rank =
        switch file.component {
        case .embedding: 0
        case .block: 1
        case .head: 2
        }
      return (rank, place.file, place.bytes.lowerBound)
    }
    return plan.files.indices.sorted {
      places[$0] != places[$1] ? places[$0] < places[$1] : $0 < $1
    }
  }

  /// Up to where each weight file is read when a file of the output is done: blocks lie one behind
  /// the other, embedding and head anywhere.
  private func ends(of file: QuantizePlan.File) -> [Int] {
    guard case .block = file.component else { return [] }
    let place = place(of: file)
    return [Int](repeating: 0, count: place.file) + [place.bytes.upperBound]
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
