import ShardPackaging
import ShardRuntime
import ShardTransport
import TensorCore
import TensorKernels

/// All nodes of a bundle in this process, each with its own threads and links over TCP.
final class PipelineBenchmark {
  /// One width of the ring: how many sequences at once.
  struct Sample {
    let sequences: Int
    let tokensPerSecond: Double
    let tokens: [[Int32]]
  }

  private let pipeline: InferencePipeline
  private var servers: [NodeServer] = []
  private let limits: SequenceLimits

  /// - Parameters:
  ///   - passTime: what a pass of a node takes at least.
  init(bundle: String, sequences: Int, threads: Int, passTime: Duration) throws {
    let names = try VerifiedPackage.open(directory: bundle).nodeNames
    guard names.count > 1 else { throw OneNodeFault(bundle: bundle) }
    var stages: [Stage] = []
    var limits: SequenceLimits?
    for name in names {
      let package = try VerifiedPackage.open(directory: "\(bundle)/nodes/\(name)", node: name)
      let shard = try LoadedShard(
        package: package, compute: try ComputeContext(threads: threads))
      limits = SequenceLimits(shard)
      stages.append(
        shard.makeStage(sequences: sequences) { PacedExecutor($0, passTime: passTime) })
    }
    self.limits = limits ?? SequenceLimits(context: 0, vocabularySize: 0)
    var peers: [(name: String, address: HostPort)] = []
    for (name, stage) in zip(names, stages).dropFirst() {
      let server = NodeServer(stage: stage, listen: try HostPort("127.0.0.1:0"))
      servers.append(server)
      peers.append((name, try server.start()))
    }
    pipeline = try InferencePipeline(stage: stages[0], peers: peers)
  }

  deinit {
    pipeline.shutdown()
    for server in servers { server.shutdown() }
  }

  /// Generates from so many short prompts, a number of them at once.
  func measure(prompts: Int, width: Int, tokens: Int) throws -> Sample {
    let requests = (0..<prompts).map { index in
      GenerationRequest(
        promptIds: Benchmark.prompt(4 + index, vocabularySize: limits.vocabularySize),
        maximumTokens: tokens)
    }
    var results: [[Int32]] = []
    let timings = try BatchGenerator(tokenizer: nil, limits: limits, width: width)
      .generate(requests, on: pipeline) { _, result in
        results.append(result.tokenIds)
        return true
      }
    return Sample(
      sequences: width, tokensPerSecond: timings.tokensPerSecond ?? 0, tokens: results)
  }

  /// Median time of a pass of one token, by node.
  func passSeconds() throws -> [(node: String, seconds: Double)] {
    try pipeline.statistics(restart: true).map { ($0.node, $0.secondsPerDecodeStep ?? 0) }
  }
}

/// A bundle that has no pipeline.
struct OneNodeFault: Fault {
  let code = "bench.oneNode"
  let message: String
  let exitStatus = ExitStatus.usage
  let context: [String: String]

  init(bundle: String) {
    message = "\(bundle) is for one node; plan and pack it for several"
    context = ["file": bundle]
  }
}
