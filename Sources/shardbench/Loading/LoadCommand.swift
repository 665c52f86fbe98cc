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
      let hashed = try BlobHashing(package, package.blobsOfNode).seconds(compute.pool)
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

extension VerifiedPackage {
  /// The blobs that loading this node reads.
  var blobsOfNode: [BlobReference] { manifest.node(node).map(manifest.blobs(of:)) ?? [] }
}
