import ArgumentParser
import CommandLineSupport
import ShardPackaging
import ShardRuntime
import StrictJSON
import TensorCore
import TensorKernels

/// `shardbench load`: reading a bundle into memory, beside hashing its bytes and nothing else.
struct LoadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "load",
    abstract: "Measures opening, verifying and laying out a node's part of a bundle.",
    discussion: """
      Each repetition hashes all bytes of the node's blobs and then loads the node anew, with the \
      same threads; the page cache is warm after the first turn, which does not count. Medians \
      are shown.
      """)

  @OptionGroup var bundle: BenchBundle

  @Option(help: "Repetitions that count.")
  var repetitions = 5

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (1...1000).contains(repetitions) else {
      throw ValidationError("--repetitions takes a number from 1 to 1000, not \(repetitions).")
    }
  }

  func run() throws {
    let compute = try bundle.makeContext()
    let package = try bundle.open()
    var report = LoadReport(package: package, threads: compute.pool.threads)
    for repetition in -1..<repetitions {
      let hashed = try BlobHashing(package).seconds(compute.pool)
      let canForget = ProcessMemory.forgetPeak()
      let start = ContinuousClock.now
      let opened = try bundle.open()
      let openSeconds = (ContinuousClock.now - start).seconds
      let shard = try LoadedShard(package: opened, compute: compute)
      let seconds = (ContinuousClock.now - start).seconds
      let peak = ProcessMemory.peakResidentBytes
      guard repetition >= 0 else { continue }
      report.hashSeconds.append(hashed)
      report.openSeconds.append(openSeconds)
      report.seconds.append(seconds)
      report.note(shard, peak: canForget ? peak : nil)
    }
    if common.json { Console.write(report.json) } else { Console.write(report.text) }
  }
}

/// Hashes the bytes of a node's blobs from memory, a window at a time.
struct BlobHashing {
  private let files: [InputFile]
  private let window = AlignedBuffer(byteCount: 16 << 20)
  private static let piece = 2 << 20

  init(_ package: VerifiedPackage) throws {
    files = try package.blobsOfNode.map { blob in
      try InputFile(path: "\(package.directory)/\(BundleFiles.blob(blob.digest))")
    }
  }

  /// Seconds of hashing; reading into memory does not count.
  func seconds(_ pool: WorkerPool) throws -> Double {
    var seconds = 0.0
    for file in files {
      for start in stride(from: 0, to: file.byteCount, by: window.byteCount) {
        let count = min(window.byteCount, file.byteCount - start)
        let pieces = (count + Self.piece - 1) / Self.piece
        func range(_ piece: Int) -> Range<Int> {
          piece * Self.piece..<min(count, (piece + 1) * Self.piece)
        }
        try pool.runThrowing(chunks: pieces) { piece in
          let range = range(piece)
          var target = unsafe MutableRawSpan(
            _unsafeBytes: UnsafeMutableRawBufferPointer(
              start: window.pointer + range.lowerBound, count: range.count))
          try file.read(into: &target, at: start + range.lowerBound)
        }
        seconds +=
          ContinuousClock().measure {
            pool.run(chunks: pieces) { piece in
              window.withBytes { bytes in _ = Digest(of: bytes.extracting(range(piece))) }
            }
          }.seconds
      }
    }
    return seconds
  }
}

extension VerifiedPackage {
  /// The blobs that loading this node reads.
  var blobsOfNode: [BlobReference] { manifest.node(node).map(manifest.blobs(of:)) ?? [] }
}
