import Checkpoints
import ModelArchitectures
import Quantization
import ShardPackaging
import StrictJSON
import Synchronization
import TensorCore
import TensorKernels

/// The arrow from a checkpoint, quantized or not, or a bundle to a GGUF file that llama.cpp runs.
public struct GGUFExport: Sendable {
  /// What weights become.
  public enum WeightType: String, CaseIterable, Sendable {
    /// As they are stored, where GGUF has the type.
    case keep
    case f16, q8_0, q4_0, q4_k, q6_k
  }

  private let source: any GGUFExportSource
  private let architecture: any ModelArchitecture
  private let metadata: [(String, GGUFEntry)]
  private let factors: [(name: String, values: [Float])]
  private let outputs: [GGUFOutputTensor]
  /// Sentences about what llama.cpp computes otherwise.
  public let notes: [String]

  /// Resolves everything before any work begins.
  ///
  /// - Parameter path: the directory of a checkpoint, quantized or not, or of a bundle.
  /// Throws: `PreparationFault` for a model or tokenizer that llama.cpp has no form for.
  public init(_ path: String, type: WeightType) throws {
    source = try Self.source(path)
    architecture = try ArchitectureRegistry.architecture(for: source.configuration)
    let metadata = try GGUFMetadata(architecture, source.configuration, source: path)
    let tokenizer = try GGUFExportTokenizer(
      try source.tokenizerFiles, vocabularySize: architecture.dimensions.vocabularySize,
      source: path)
    factors = metadata.factors
    notes = metadata.notes
    outputs = try GGUFOutputTensor.all(
      architecture, metadata.family, source: source, type: type)
    let name = Directory.name(of: Directory.resolved(path) ?? path)
    self.metadata =
      [
        ("general.architecture", .string(metadata.family.architecture)),
        ("general.type", .string("model")), ("general.name", .string(name)),
        ("general.quantization_version", .uint32(2)),
        ("general.file_type", .uint32(Self.fileType(type))),
      ] + metadata.entries + tokenizer.entries
  }

  private static func source(_ path: String) throws -> any GGUFExportSource {
    if Directory.isFile("\(path)/\(BundleFiles.manifest)") {
      return try BundleExportSource(VerifiedPackage.open(directory: path))
    }
    let checkpoint = try Checkpoint(directory: path)
    return QuantizationRecord.isPresent(in: checkpoint.configuration)
      ? QuantizedExportSource(try QuantizedCheckpoint(checkpoint))
      : try CheckpointExportSource(checkpoint)
  }

  /// llama.cpp's number for the mixture of types of a file.
  private static func fileType(_ type: WeightType) -> Int {
    switch type {
    case .f16: 1
    case .q4_0: 2
    case .q8_0: 7
    case .q4_k: 15
    case .q6_k: 18
    case .keep: 1024
    }
  }

  /// What was written.
  public struct Summary: Sendable {
    public let file: String
    public let byteCount: Int
    /// Tensors and bytes of each type, sorted by name.
    public let types: [(name: String, tensors: Int, bytes: Int)]

    public var json: JSONValue {
      [
        "schema": "shardtool.gguf_export/1", "format": "gguf", "file": .string(file),
        "bytes": JSONValue(byteCount),
        "types": .array(
          types.map {
            [
              "type": .string($0.name), "tensors": JSONValue($0.tensors),
              "bytes": JSONValue($0.bytes),
            ]
          }),
      ]
    }
  }

  /// Writes the file; it appears whole or not at all.
  public func run(
    to path: String, pool: WorkerPool, progress: ProgressHandler? = nil
  ) throws -> Summary {
    let small = factors.map { (name: $0.name, type: GGUFTensorType.f32, shape: [$0.values.count]) }
    let writer = try GGUFWriter(
      path: path, metadata: metadata,
      tensors: small + outputs.map { (name: $0.name, type: $0.type, shape: $0.shape) })
    do {
      for (index, factor) in factors.enumerated() {
        var planes: [[UInt8]] = []
        Schemes.f32.encode(
          factor.values.span, rowCount: 1, columns: factor.values.count, into: &planes)
        try writer.write(tensor: index, planes[0], at: 0)
      }
      try write(writer, offset: small.count, pool: pool, progress: progress)
      try writer.finish()
    } catch {
      writer.abandon()
      throw error
    }
    let types = Dictionary(grouping: writer.tensors, by: \.type.name).sorted { $0.key < $1.key }
    return Summary(
      file: path, byteCount: writer.tensors.map(\.byteRange.upperBound).max() ?? 0,
      types: types.map { ($0, $1.count, $1.reduce(0) { $0 + $1.byteCount }) })
  }

  private func write(
    _ writer: GGUFWriter, offset: Int, pool: WorkerPool, progress: ProgressHandler?
  ) throws {
    let total = writer.tensors.reduce(0) { $0 + $1.byteCount }
    let done = Mutex(0)
    for component in architecture.components {
      let own = outputs.indices.filter { outputs[$0].component == component }
      guard !own.isEmpty else { continue }
      try source.prepare(component, pool: pool)
      let bands = own.flatMap { index in outputs[index].bands.map { (index, $0) } }
      try pool.runThrowing(chunks: bands.count) { number in
        let (index, rows) = bands[number]
        let output = outputs[index]
        let bytes = try output.bytes(rows: rows, from: source)
        let perRow = writer.tensors[offset + index].bytesPerRow
        try writer.write(
          tensor: offset + index, bytes,
          at: output.isVector ? 0 : rows.lowerBound * perRow)
        let completed = done.withLock { count in
          count += bytes.count
          return count
        }
        progress?(ProgressUpdate(phase: "export", completedBytes: completed, totalBytes: total))
      }
    }
  }
}
