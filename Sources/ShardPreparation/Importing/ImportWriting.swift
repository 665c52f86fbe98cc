import Checkpoints
import Quantization
import ShardPackaging
import StrictJSON
import Synchronization
import TensorCore
import TensorKernels

/// One tensor on its way from another format, stored in a scheme of one plane.
protocol ImportJob: Sendable {
  var stored: StoredTensor { get }
  /// The bytes of some rows.
  func bytes(rows: Range<Int>) throws -> [UInt8]
}

extension ImportJob {
  var plane: PlaneLayout { stored.planes[0] }

  /// Rows that are made together: about a megabyte.
  var bands: [Range<Int>] {
    let step = max(1, (1 << 20) / plane.bytesPerRow)
    return stride(from: 0, to: stored.rows, by: step).map { $0..<min($0 + step, stored.rows) }
  }
}

/// What was imported, by scheme.
public struct ImportSummary: Sendable {
  /// `gguf` or `gptq`.
  public let format: String
  public let directory: String
  public let tensorCount: Int
  public let byteCount: Int
  /// Tensors, weights and bytes of each scheme, sorted by name.
  public let schemes: [(name: String, tensors: Int, weights: Int, bytes: Int)]

  public var json: JSONValue {
    [
      "schema": "shardtool.weights_import/1", "format": .string(format),
      "directory": .string(directory), "tensors": JSONValue(tensorCount),
      "bytes": JSONValue(byteCount),
      "schemes": .array(
        schemes.map {
          [
            "scheme": .string($0.name), "tensors": JSONValue($0.tensors),
            "weights": JSONValue($0.weights), "bytes": JSONValue($0.bytes),
          ]
        }),
    ]
  }
}

/// Writes a quantized checkpoint of weights that are not quantized again.
struct ImportWriting: Sendable {
  /// A component's file.
  struct Part: Sendable {
    let name: String
    let jobs: [any ImportJob]
  }

  /// Where the weights come from; the name of the recipe.
  let format: String
  let configuration: JSONObject
  let parts: [Part]
  let tokenizerFiles: [(name: String, bytes: [UInt8])]
  let vocabularySize: Int
  let sources: SourceDigests

  private var stored: [StoredTensor] { parts.flatMap { $0.jobs.map(\.stored) } }

  /// The checkpoint appears in `directory` whole or not at all.
  func run(
    to directory: String, pool: WorkerPool, progress: ProgressHandler?
  ) throws -> ImportSummary {
    let staging = try QuantizeStaging(target: directory)
    do {
      try staging.keepOnly([])
      try write(to: staging.path, pool: pool, progress: progress)
      _ = try TokenizerCheck.run(
        tokenizerFiles.map(\.name), in: staging.path, modelVocabulary: vocabularySize)
      try staging.commit()
    } catch {
      staging.abandon()
      throw error
    }
    return summary(directory)
  }

  private func summary(_ directory: String) -> ImportSummary {
    let schemes = Dictionary(grouping: stored, by: \.scheme.name).sorted { $0.key < $1.key }.map {
      name, tensors in
      (
        name: name, tensors: tensors.count, weights: tensors.reduce(0) { $0 + $1.elementCount },
        bytes: tensors.reduce(0) { $0 + $1.byteCount }
      )
    }
    return ImportSummary(
      format: format, directory: directory, tensorCount: stored.count,
      byteCount: stored.reduce(0) { $0 + $1.byteCount }, schemes: schemes)
  }

  private func write(to directory: String, pool: WorkerPool, progress: ProgressHandler?) throws {
    let total = stored.reduce(0) { $0 + $1.byteCount }
    let done = Mutex(0)
    for part in parts {
      let writer = try SafetensorsWriter(
        path: "\(directory)/\(part.name)",
        tensors: part.jobs.map { job in
          (job.stored.storageName(plane: 0), job.plane.dataType, job.plane.shape)
        },
        metadata: [("format", "pt")])
      let bands = part.jobs.flatMap { job in job.bands.map { (job, $0) } }
      try pool.runThrowing(chunks: bands.count) { index in
        let (job, rows) = bands[index]
        let bytes = try job.bytes(rows: rows)
        try writer.write(
          job.stored.storageName(plane: 0), bytes, at: rows.lowerBound * job.plane.bytesPerRow)
        let completed = done.withLock { count in
          count += bytes.count
          return count
        }
        progress?(ProgressUpdate(phase: "import", completedBytes: completed, totalBytes: total))
      }
      try writer.finish()
    }
    try writeDescription(to: directory, byteCount: total)
  }

  /// Everything beside the weights.
  private func writeDescription(to directory: String, byteCount: Int) throws {
    func write(_ bytes: [UInt8], _ name: String) throws {
      try Directory.writeAtomically(bytes, to: "\(directory)/\(name)")
    }
    func write(_ value: JSONValue, _ name: String) throws {
      try write(Array(value.serialized(.pretty).utf8), name)
    }
    var map = JSONObject()
    for part in parts {
      for job in part.jobs { map[job.stored.storageName(plane: 0)] = .string(part.name) }
    }
    try write(
      ["metadata": ["total_size": JSONValue(byteCount)], "weight_map": .object(map)],
      "model.safetensors.index.json")
    for (name, bytes) in tokenizerFiles { try write(bytes, name) }
    var configuration = configuration
    configuration[QuantizationRecord.key] =
      QuantizationRecord(recipe: format, tensors: stored).json
    try write(.object(configuration), "config.json")
    let found = try sources.finish()
    try write(
      Array(Provenance(importedAs: format, sources: found).fileText.utf8), Provenance.fileName)
  }
}
