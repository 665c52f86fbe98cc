import Checkpoints
import Foundation
import Quantization
import ShardPackaging
import ShardPlanning
import ShardPreparation
import ShardRuntime
import StrictJSON
import TensorCore
import TensorKernels
import TestSupport

/// A checkpoint taken the whole way to loaded nodes within this process, so that tests can look
/// at the hidden states between nodes.
final class PreparedModel {
  let checkpoint: Checkpoint
  private let workspace: TemporaryDirectory
  private let quantized: QuantizedCheckpoint

  init(_ directory: String, recipe: Recipe = .bits16) throws {
    checkpoint = try Checkpoint(directory: directory)
    workspace = try TemporaryDirectory()
    let target = workspace.appending("quantized")
    _ = try Quantizer(checkpoint, recipe: recipe).run(to: target, pool: WorkerPool(threads: 2))
    quantized = try QuantizedCheckpoint(directory: target)
  }

  var layerCount: Int {
    get throws { try CheckpointFootprint(quantized).facts.layerCount }
  }

  /// Loads one node for each number of layers in `split`.
  func load(
    split: [Int], threads: Int = 1, prefillChunk: Int = 512, context: Int = 256,
    instructionSet: InstructionSet? = nil
  ) throws -> ModelChain {
    let source = try CheckpointFootprint(quantized)
    let cluster = try Cluster(count: split.count, ramBytes: 8 << 30)
    let settings = PlanSettings(
      context: min(context, source.facts.contextLength), prefillChunk: prefillChunk)
    let plan = try Planner(source: source, cluster: cluster).plan(
      PlanRequest(settings: settings, split: split))
    let bundle = workspace.appending("bundle-\(split)-\(prefillChunk)-\(context)")
    try Packager.pack(quantized, plan: plan, to: bundle, threads: 2)
    let compute = try ComputeContext(threads: threads, instructionSet: instructionSet)
    return ModelChain(
      shards: try plan.nodes.map { node in
        try LoadedShard(
          package: try VerifiedPackage.open(directory: bundle, node: node.name),
          compute: compute)
      })
  }
}

/// Nodes one after the other, without anything between them.
final class ModelChain {
  private let sessions: [ShardSession]
  private let prefillChunk: Int
  private let hiddenSize: Int

  init(shards: [LoadedShard]) {
    sessions = shards.map { $0.makeSession() }
    prefillChunk = sessions[0].prefillChunk
    hiddenSize = shards[0].hiddenSize
  }

  /// What one pass over some ids gives, rows by ids.
  struct Result: Equatable {
    var embedded: [[Float]] = []
    /// For each node, what it hands on.
    var hidden: [[[Float]]]
    var logits: [[Float]] = []
  }

  func run(_ ids: [Int32], firstPosition: Int = 0) -> Result {
    var result = Result(hidden: Array(repeating: [], count: sessions.count))
    let hidden = Matrix(rows: prefillChunk, columns: hiddenSize)
    var done = 0
    while done < ids.count {
      let part = Array(ids[done..<min(ids.count, done + prefillChunk)])
      let position = firstPosition + done
      sessions[0].embed(part, firstPosition: position, into: hidden)
      result.embedded += (0..<part.count).map { hidden.row($0) }
      for (node, session) in sessions.enumerated() {
        session.forward(hidden, rows: part.count, firstPosition: position)
        result.hidden[node] += (0..<part.count).map { hidden.row($0) }
      }
      let last = sessions[sessions.count - 1]
      var row = 0
      while row < part.count {
        let rows = row..<min(part.count, row + last.logitsCapacity)
        let logits = last.logits(hidden, rows: rows)
        result.logits += (0..<rows.count).map { logits.row($0) }
        row = rows.upperBound
      }
      done += part.count
    }
    return result
  }

  /// The greedy continuation, token after token through the caches.
  func continued(_ ids: [Int32], count: Int) -> [Int32] {
    var logits = run(ids).logits[ids.count - 1]
    var found: [Int32] = []
    for step in 0..<count {
      let best = logits.indices.max {
        logits[$0] < logits[$1] || (logits[$0] == logits[$1] && $0 > $1)
      }
      found.append(Int32(best ?? 0))
      logits = run([found[step]], firstPosition: ids.count + step).logits[0]
    }
    return found
  }
}

/// The golden values of a model.
struct GoldenModel {
  private let file: SafetensorsFile

  init(_ directory: String) throws {
    file = try SafetensorsFile(path: directory + "/golden.safetensors")
  }

  func ints(_ name: String) throws -> [Int32] {
    try values(name) { bytes in
      Int32(
        bitPattern: UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16
          | UInt32(bytes[3]) << 24)
    }
  }

  func floats(_ name: String) throws -> [Float] {
    try values(name) { bytes in
      Float(
        bitPattern: UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16
          | UInt32(bytes[3]) << 24)
    }
  }

  private func values<Value>(_ name: String, _ value: ([UInt8]) -> Value) throws -> [Value] {
    guard let entry = file[name] else { return [] }
    let bytes = try file.file.bytes(at: entry.byteRange.lowerBound, count: entry.byteCount)
    return stride(from: 0, to: bytes.count, by: 4).map { value(Array(bytes[$0..<($0 + 4)])) }
  }
}

/// The largest distance of two lists of numbers; infinite where their lengths differ.
func largestDistance(_ found: [Float], _ expected: [Float]) -> Float {
  guard found.count == expected.count else { return .infinity }
  var largest: Float = 0
  for index in found.indices {
    let distance = abs(found[index] - expected[index])
    guard distance.isFinite else { return .infinity }
    largest = max(largest, distance)
  }
  return largest
}
