import ArgumentParser
import CommandLineSupport
import ShardPackaging
import ShardRuntime
import StrictJSON
import TensorCore
import TensorKernels

/// `shardbench verify`: checking every byte of a bundle, beside hashing its bytes and nothing
/// else.
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Measures checking every byte of a bundle.",
    discussion: """
      Each repetition hashes all stored bytes from memory with OpenSSL and then verifies the \
      bundle as shardtool verify does, with the same threads; the page cache is warm after the \
      first turn, which does not count. Compressed chunks have to be hashed twice, stored and \
      raw: "hashed" counts both, "stored" only what lies on the disk.
      """)

  @Argument(help: "A bundle directory or nodes/NAME/ of one.", completion: .directory)
  var bundle: String

  @OptionGroup var threads: ThreadOptions

  @Option(help: "Repetitions that count.")
  var repetitions = 5

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (1...1000).contains(repetitions) else {
      throw ValidationError("--repetitions takes a number from 1 to 1000, not \(repetitions).")
    }
  }

  func run() throws {
    let pool = WorkerPool(threads: threads.threads ?? WorkerPool.defaultThreadCount)
    var report = VerifyReport(threads: pool.threads)
    for repetition in -1..<repetitions {
      let package = try VerifiedPackage.open(directory: bundle)
      let blobs = package.manifest.blobs(of: package.components)
      let hashed = try BlobHashing(package, blobs).seconds(pool)
      let canForget = ProcessMemory.forgetPeak()
      var result: VerificationReport?
      let seconds = try ContinuousClock().measure {
        result = try VerifiedPackage.open(directory: bundle).verifyAll(pool: pool)
      }.seconds
      guard repetition >= 0, let result else { continue }
      report.add(
        result, seconds: seconds, hashSeconds: hashed,
        hashBytes: blobs.reduce(0) { $0 + $1.byteCount },
        peak: canForget ? ProcessMemory.peakResidentBytes : nil)
    }
    if common.json { Console.write(report.json) } else { Console.write(report.text) }
  }
}

/// The result of `verify` for people and for programs.
struct VerifyReport {
  let threads: Int
  private var storedBytes = 0
  private var hashedBytes = 0
  private var hashBytes = 0
  private var seconds: [Double] = []
  private var hashSeconds: [Double] = []
  private var peakBytes: Int?

  init(threads: Int) { self.threads = threads }

  /// - Parameters:
  ///   - hashSeconds: of hashing `hashBytes` and nothing else.
  mutating func add(
    _ result: VerificationReport, seconds: Double, hashSeconds: Double, hashBytes: Int,
    peak: Int?
  ) {
    storedBytes = result.storedByteCount
    hashedBytes = result.hashedByteCount
    self.hashBytes = hashBytes
    self.seconds.append(seconds)
    self.hashSeconds.append(hashSeconds)
    if let peak { peakBytes = max(peakBytes ?? 0, peak) }
  }

  private var hashRate: Double { Double(hashBytes) / Samples.median(hashSeconds) }
  /// The median over the repetitions, each beside the hashing before it.
  private func share(_ bytes: Int) -> Double {
    Samples.median(
      zip(seconds, hashSeconds).map { Double(bytes) / $0 / (Double(hashBytes) / $1) })
  }

  var json: JSONValue {
    [
      "schema": "shardbench.verify/1",
      "threads": JSONValue(threads),
      "repetitions": JSONValue(seconds.count),
      "stored_bytes": JSONValue(storedBytes),
      "hashed_bytes": JSONValue(hashedBytes),
      "verify_seconds": .double(Samples.median(seconds)),
      "verify_seconds_samples": .array(seconds.map { .double($0) }),
      "hash_bytes_per_second": .double(hashRate),
      "hash_seconds_samples": .array(hashSeconds.map { .double($0) }),
      "stored_share": .double(share(storedBytes)),
      "hashed_share": .double(share(hashedBytes)),
      "peak_resident_bytes": peakBytes.map { JSONValue($0) } ?? .null,
    ]
  }

  var text: String {
    let median = Samples.median(seconds)
    func rate(_ bytes: Double) -> String { "\(Quantity.fixed(bytes * 1e-9, digits: 2)) GB/s" }
    func percent(_ share: Double) -> String { "\(Quantity.fixed(100 * share, digits: 1)) %" }
    var table = TextTable([("measured", .left), ("", .right), ("of SHA-256", .right)])
    for row in [
      ["threads", String(threads)],
      ["verify", "\(Quantity.fixed(median * 1e3, digits: 1)) ms"],
      ["SHA-256 from memory", rate(hashRate)],
      ["stored", Quantity.describe(bytes: storedBytes)],
      ["hashed, stored and raw", Quantity.describe(bytes: hashedBytes)],
      ["verified, stored", rate(Double(storedBytes) / median), percent(share(storedBytes))],
      ["verified, hashed", rate(Double(hashedBytes) / median), percent(share(hashedBytes))],
      ["peak memory", peakBytes.map { Quantity.describe(bytes: $0) } ?? "unknown"],
    ] { table.add(row) }
    return table.rendered()
  }
}
