import CommandLineSupport
import ShardPackaging
import ShardRuntime
import StrictJSON
import TensorCore

/// The result of `load` for people and for programs.
struct LoadReport {
  let node: String
  let threads: Int
  /// Bytes of the node's blobs.
  let storedBytes: Int
  var hashSeconds: [Double] = []
  var openSeconds: [Double] = []
  /// Opening included.
  var seconds: [Double] = []
  /// Of the weights as they are laid out.
  private var weightBytes = 0
  private var ledgerBytes = 0
  /// Nil where the system cannot count anew for each repetition.
  private var peakBytes: Int?

  init(package: VerifiedPackage, threads: Int) {
    node = package.node
    self.threads = threads
    storedBytes = package.blobsOfNode.reduce(0) { $0 + $1.byteCount }
  }

  mutating func note(_ shard: LoadedShard, peak: Int?) {
    let planned = try? shard.plan.node(named: shard.node)
    weightBytes = shard.memory.weightBytes(of: planned?.components ?? [])
    ledgerBytes = shard.ledger.total
    if let peak { peakBytes = max(peakBytes ?? 0, peak) }
  }

  private var hashRate: Double { Double(storedBytes) / Samples.median(hashSeconds) }
  /// The median over the repetitions, each beside the hashing before it.
  private var ratio: Double { Samples.median(zip(seconds, hashSeconds).map { $0 / $1 }) }

  var json: JSONValue {
    [
      "schema": "shardbench.load/1",
      "node": .string(node),
      "threads": JSONValue(threads),
      "repetitions": JSONValue(seconds.count),
      "stored_bytes": JSONValue(storedBytes),
      "weight_bytes": JSONValue(weightBytes),
      "load_seconds": .double(Samples.median(seconds)),
      "load_seconds_samples": .array(seconds.map { .double($0) }),
      "open_seconds": .double(Samples.median(openSeconds)),
      "hash_seconds": .double(Samples.median(hashSeconds)),
      "hash_seconds_samples": .array(hashSeconds.map { .double($0) }),
      "hash_bytes_per_second": .double(hashRate),
      "ratio": .double(ratio),
      "peak_resident_bytes": peakBytes.map { JSONValue($0) } ?? .null,
      "ledger_bytes": JSONValue(ledgerBytes),
    ]
  }

  var text: String {
    func milliseconds(_ values: [Double]) -> String {
      "\(Quantity.fixed(Samples.median(values) * 1e3, digits: 1)) ms"
    }
    var table = TextTable([("measured", .left), ("", .right)])
    for row in [
      ["threads", String(threads)],
      ["bytes of \(node)", Quantity.describe(bytes: storedBytes)],
      ["laid out", Quantity.describe(bytes: weightBytes)],
      ["load", milliseconds(seconds)],
      ["of it opening", milliseconds(openSeconds)],
      ["SHA-256 of the same bytes", milliseconds(hashSeconds)],
      ["SHA-256", "\(Quantity.fixed(hashRate * 1e-9, digits: 2)) GB/s"],
      ["load beside SHA-256", Quantity.fixed(ratio, digits: 3)],
      ["peak memory", peakBytes.map { Quantity.describe(bytes: $0) } ?? "unknown"],
      ["ledger", Quantity.describe(bytes: ledgerBytes)],
    ] { table.add(row) }
    return table.rendered()
  }
}
