import StrictJSON
import TensorCore

/// How fast a model ran, beside the memory's read bandwidth: what every benchmark of generation
/// says.
public struct SpeedReport: Sendable {
  public let request: BenchmarkRequest
  public let result: BenchmarkResult
  public let threads: Int
  public let instructionSet: String
  public let loadSeconds: Double
  /// Over all nodes.
  public let weightBytesPerToken: Int
  /// Bytes per second, measured in the same run with the same threads.
  public let readBandwidths: [Double]

  public init(
    request: BenchmarkRequest, result: BenchmarkResult, shard: LoadedShard, loadSeconds: Double,
    readBandwidths: [Double]
  ) {
    self.request = request
    self.result = result
    self.loadSeconds = loadSeconds
    self.readBandwidths = readBandwidths
    threads = shard.compute.pool.threads
    instructionSet = shard.compute.instructionSet.rawValue
    let memory = shard.memory
    weightBytesPerToken = memory.architecture.components.reduce(0) {
      $0 + memory.bytesReadPerToken(in: $1)
    }
  }

  private var prefillRates: [Double] {
    result.firstTokenSeconds.map { Double(request.promptTokens) / $0 }
  }
  private var decodeRates: [Double] { result.tokenSeconds.map { 1 / $0 } }
  private var decodeRate: Double { Samples.median(decodeRates) }
  private var bandwidth: Double { Samples.median(readBandwidths) }
  /// Weight bytes that decoding moves in a second.
  private var weightRate: Double { decodeRate * Double(weightBytesPerToken) }
  public var tokenSeconds: Double { Samples.median(result.tokenSeconds) }
  public var firstTokenSeconds: Double { Samples.median(result.firstTokenSeconds) }

  /// The first members of a result for programs.
  public func json(schema: String) -> JSONObject {
    [
      "schema": .string(schema),
      "prompt_tokens": JSONValue(request.promptTokens),
      "generate_tokens": JSONValue(request.generateTokens),
      "repetitions": JSONValue(request.repetitions),
      "threads": JSONValue(threads),
      "instruction_set": .string(instructionSet),
      "load_seconds": .double(loadSeconds),
      "prefill_tokens_per_second": .double(Samples.median(prefillRates)),
      "prefill_tokens_per_second_samples": .array(prefillRates.map { .double($0) }),
      "decode_tokens_per_second": .double(decodeRate),
      "decode_tokens_per_second_samples": .array(decodeRates.map { .double($0) }),
      "weight_bytes_per_token": JSONValue(weightBytesPerToken),
      "weight_bytes_per_second": .double(weightRate),
      "read_bandwidth_bytes_per_second": .double(bandwidth),
      "read_bandwidth_bytes_per_second_samples": .array(readBandwidths.map { .double($0) }),
    ]
  }

  /// Names and values for people.
  public var lines: [[String]] {
    func rate(_ value: Double) -> String { "\(Quantity.fixed(value, digits: 1)) tokens/s" }
    func gigabytes(_ value: Double) -> String { "\(Quantity.fixed(value * 1e-9, digits: 2)) GB/s" }
    // Where memory was short, nothing was probed.
    let roof =
      bandwidth > 0
      ? [
        ["read bandwidth", gigabytes(bandwidth)],
        ["share of the roof", "\(Quantity.fixed(weightRate / bandwidth * 100, digits: 1)) %"],
      ] : []
    return [
      [
        "prefill of \(Quantity.count(request.promptTokens, "token"))",
        rate(Samples.median(prefillRates)),
      ],
      ["decode of \(Quantity.count(request.generateTokens, "token"))", rate(decodeRate)],
      ["weights read per token", Quantity.describe(bytes: weightBytesPerToken)],
      ["weights read", gigabytes(weightRate)],
    ] + roof
  }
}
