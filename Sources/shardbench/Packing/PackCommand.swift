import ArgumentParser
import CommandLineSupport
import Quantization
import ShardPackaging
import ShardPlanning
import ShardRuntime
import StrictJSON
import TensorCore
import TensorKernels

/// `shardbench pack`: packing a bundle, beside hashing and compressing its bytes and nothing else.
struct PackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Measures packing a quantized checkpoint.",
    discussion: """
      Each repetition hashes and compresses a sample of the weights in memory, then packs them \
      into a new bundle and removes it, with the same threads; the first turn does not count.
      """)

  @Argument(help: "The quantized checkpoint's directory.", completion: .directory)
  var checkpoint: String

  @Option(help: "The plan that shardtool plan has written.", completion: .file())
  var plan: String

  @Option(help: "Where to pack; nothing may be there, and nothing stays.")
  var output: String

  @OptionGroup var threads: ThreadOptions

  @Option(help: "Repetitions that count.")
  var repetitions = 3

  @Option(help: "Weights that are hashed and compressed in memory.")
  var sample = ByteSize(bytes: 512 << 20)

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (1...1000).contains(repetitions) else {
      throw ValidationError("--repetitions takes a number from 1 to 1000, not \(repetitions).")
    }
    guard !Directory.exists(output), !Directory.isFile(output) else {
      throw ValidationError("\(output) is there already; give a new directory.")
    }
  }

  func run() throws {
    let quantized = try QuantizedCheckpoint(directory: checkpoint)
    let plan = try ShardPlan.read(from: plan)
    let pool = WorkerPool(threads: threads.threads ?? WorkerPool.defaultThreadCount)
    var report = PackBenchReport(threads: pool.threads)
    for repetition in -1..<repetitions {
      let rates = try PackYardstick(quantized).measure(pool, byteCount: sample.bytes)
      let canForget = ProcessMemory.forgetPeak()
      var summary: PackSummary?
      let seconds = try ContinuousClock().measure {
        summary = try Packager.pack(
          quantized, plan: plan, to: output, threads: pool.threads)
      }.seconds
      let peak = canForget ? ProcessMemory.peakResidentBytes : nil
      try Directory.remove(output)
      guard repetition >= 0, let summary else { continue }
      report.add(summary, seconds: seconds, rates: rates, peak: peak)
    }
    if common.json { Console.write(report.json) } else { Console.write(report.text) }
  }
}

/// The result of `pack` for people and for programs.
struct PackBenchReport {
  let threads: Int
  private var rawBytes = 0
  private var storedBytes = 0
  private var seconds: [Double] = []
  private var rates: [PackYardstick.Rates] = []
  private var peakBytes: Int?

  init(threads: Int) { self.threads = threads }

  mutating func add(
    _ summary: PackSummary, seconds: Double, rates: PackYardstick.Rates, peak: Int?
  ) {
    rawBytes = summary.manifest.components.reduce(0) { $0 + $1.rawByteCount }
    storedBytes = summary.manifest.blobs.reduce(0) { $0 + $1.byteCount }
    self.seconds.append(seconds)
    self.rates.append(rates)
    if let peak { peakBytes = max(peakBytes ?? 0, peak) }
  }

  private var packRate: Double { Double(rawBytes) / Samples.median(seconds) }
  private var hashRate: Double { Samples.median(rates.map(\.hashRate)) }
  private var compressRate: Double { Samples.median(rates.map(\.compressRate)) }
  /// The median over the repetitions, each beside the bound measured before it.
  private var share: Double {
    Samples.median(
      zip(seconds, rates).map {
        Double(rawBytes) / $0 / min($1.hashRate, $1.compressRate)
      })
  }

  var json: JSONValue {
    [
      "schema": "shardbench.pack/1",
      "threads": JSONValue(threads),
      "repetitions": JSONValue(seconds.count),
      "raw_bytes": JSONValue(rawBytes),
      "stored_bytes": JSONValue(storedBytes),
      "pack_seconds": .double(Samples.median(seconds)),
      "pack_seconds_samples": .array(seconds.map { .double($0) }),
      "pack_bytes_per_second": .double(packRate),
      "hash_bytes_per_second": .double(hashRate),
      "compress_bytes_per_second": .double(compressRate),
      "share": .double(share),
      "peak_resident_bytes": peakBytes.map { JSONValue($0) } ?? .null,
    ]
  }

  var text: String {
    func rate(_ bytes: Double) -> String { "\(Quantity.fixed(bytes * 1e-9, digits: 2)) GB/s" }
    var table = TextTable([("measured", .left), ("", .right)])
    for row in [
      ["threads", String(threads)],
      ["weights", Quantity.describe(bytes: rawBytes)],
      ["stored", Quantity.describe(bytes: storedBytes)],
      ["pack", "\(Quantity.fixed(Samples.median(seconds), digits: 2)) s"],
      ["pack, of weights", rate(packRate)],
      ["SHA-256 from memory", rate(hashRate)],
      ["Zstandard from memory", rate(compressRate)],
      ["pack beside the slower one", "\(Quantity.fixed(100 * share, digits: 1)) %"],
      ["peak memory", peakBytes.map { Quantity.describe(bytes: $0) } ?? "unknown"],
    ] { table.add(row) }
    return table.rendered()
  }
}
