import Checkpoints
import ModelArchitectures
import Quantization
import ShardPackaging
import StrictJSON
import Synchronization
import TensorCore
import TensorKernels

/// Weights that can be exported: of a checkpoint, a quantized checkpoint or a bundle.
protocol GGUFExportSource: Sendable {
  var name: String { get }
  var configuration: JSONObject { get }
  /// The tokenizer's files by name.
  var tokenizerFiles: [String: [UInt8]] { get throws }
  /// The scheme a tensor is stored in.
  func format(of spec: TensorSpec) -> WeightFormat?
  /// Called before tensors of a component are read.
  func prepare(_ component: Component, pool: WorkerPool) throws
  /// The values of some rows.
  func floats(_ spec: TensorSpec, rows: Range<Int>) throws -> [Float]
  /// The bytes of some rows, where a tensor is stored in one plane.
  func bytes(_ spec: TensorSpec, rows: Range<Int>) throws -> [UInt8]
}

extension GGUFExportSource {
  func prepare(_ component: Component, pool: WorkerPool) throws {}
}

extension Checkpoint {
  fileprivate var tokenizerContents: [String: [UInt8]] {
    get throws {
      var files: [String: [UInt8]] = [:]
      for name in tokenizerFiles {
        files[name] = try InputFile.contents(of: "\(directory)/\(name)")
      }
      return files
    }
  }
}

/// A checkpoint as it was downloaded.
struct CheckpointExportSource: GGUFExportSource {
  private let checkpoint: Checkpoint
  private let jobs: [String: QuantizePlan.Job]

  init(_ checkpoint: Checkpoint) throws {
    self.checkpoint = checkpoint
    var jobs: [String: QuantizePlan.Job] = [:]
    for job in try QuantizePlan(checkpoint, recipe: .bits16).files.flatMap(\.jobs) {
      jobs[job.stored.name] = job
    }
    self.jobs = jobs
  }

  var name: String { checkpoint.directory }
  var configuration: JSONObject { checkpoint.configuration }
  var tokenizerFiles: [String: [UInt8]] { get throws { try checkpoint.tokenizerContents } }

  func format(of spec: TensorSpec) -> WeightFormat? { jobs[spec.name]?.stored.scheme.format }

  func floats(_ spec: TensorSpec, rows: Range<Int>) throws -> [Float] {
    try jobs[spec.name]?.source.floats(rows: rows) ?? []
  }

  func bytes(_ spec: TensorSpec, rows: Range<Int>) throws -> [UInt8] {
    guard let job = jobs[spec.name] else { return [] }
    let floats = try job.source.floats(rows: rows)
    var planes: [[UInt8]] = []
    job.stored.scheme.encode(
      floats.span, rowCount: rows.count, columns: spec.columns, into: &planes)
    return planes[0]
  }
}

/// What `quantize` or `import` has written.
struct QuantizedExportSource: GGUFExportSource {
  private let checkpoint: QuantizedCheckpoint

  init(_ checkpoint: QuantizedCheckpoint) { self.checkpoint = checkpoint }

  var name: String { checkpoint.directory }
  var configuration: JSONObject { checkpoint.configuration }
  var tokenizerFiles: [String: [UInt8]] {
    get throws {
      var files: [String: [UInt8]] = [:]
      for name in checkpoint.tokenizerFiles {
        files[name] = try InputFile.contents(of: "\(checkpoint.directory)/\(name)")
      }
      return files
    }
  }

  func format(of spec: TensorSpec) -> WeightFormat? {
    checkpoint.tensors[spec.name]?.scheme.format
  }

  func floats(_ spec: TensorSpec, rows: Range<Int>) throws -> [Float] {
    guard let tensor = checkpoint.tensors[spec.name] else { return [] }
    var floats = [Float](repeating: 0, count: rows.count * tensor.columns)
    var span = floats.mutableSpan
    try checkpoint.readFloats(tensor, rows: rows, into: &span)
    return floats
  }

  func bytes(_ spec: TensorSpec, rows: Range<Int>) throws -> [UInt8] {
    guard let tensor = checkpoint.tensors[spec.name] else { return [] }
    let perRow = tensor.planes[0].bytesPerRow
    var bytes = [UInt8](repeating: 0, count: rows.count * perRow)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    try checkpoint.readPlane(
      tensor, plane: 0, bytes: rows.lowerBound * perRow..<rows.upperBound * perRow, into: &raw)
    return bytes
  }
}

/// A bundle; one component at a time is in memory, verified.
final class BundleExportSource: GGUFExportSource {
  private let package: VerifiedPackage
  private let stored: [String: StoredTensor]
  private let planes = Mutex<[String: [[UInt8]]]>([:])

  init(_ package: VerifiedPackage) throws(PreparationFault) {
    guard package.isWholeBundle || package.manifest.nodes.count == 1 else {
      throw PreparationFault(
        "partOfBundle",
        "\(package.directory) is one node's part of a bundle; give the directory of the whole",
        context: ["file": package.directory])
    }
    self.package = package
    stored = package.tensors
  }

  var name: String { package.directory }
  var configuration: JSONObject { package.configuration }
  var tokenizerFiles: [String: [UInt8]] {
    package.assets.filter { Checkpoint.tokenizerFileNames.contains($0.key) }
  }

  func format(of spec: TensorSpec) -> WeightFormat? { stored[spec.name]?.scheme.format }

  func prepare(_ component: Component, pool: WorkerPool) throws {
    var fresh: [String: [[UInt8]]] = [:]
    for tensor in package.tensors(of: component) {
      fresh[tensor.name] = tensor.planes.map { [UInt8](repeating: 0, count: $0.byteCount) }
    }
    planes.withLock { $0 = fresh }
    try package.readComponents([component], pool: pool) { tensor, plane, offset, bytes in
      let copy = unsafe bytes.withUnsafeBytes { unsafe Array($0) }
      planes.withLock { planes in
        planes[tensor.name]?[plane].replaceSubrange(offset..<offset + copy.count, with: copy)
      }
    }
  }

  private func rowBytes(_ tensor: StoredTensor, _ plane: Int, _ rows: Range<Int>) -> [UInt8] {
    let perRow = tensor.planes[plane].bytesPerRow
    let range = rows.lowerBound * perRow..<rows.upperBound * perRow
    return planes.withLock { planes in planes[tensor.name].map { Array($0[plane][range]) } ?? [] }
  }

  func floats(_ spec: TensorSpec, rows: Range<Int>) throws -> [Float] {
    guard let tensor = stored[spec.name] else { return [] }
    let planes = tensor.planes.indices.map { rowBytes(tensor, $0, rows) }
    var floats = [Float](repeating: 0, count: rows.count * tensor.columns)
    var span = floats.mutableSpan
    try tensor.scheme.decode(
      planes: planes, rowCount: rows.count, columns: tensor.columns, into: &span)
    return floats
  }

  func bytes(_ spec: TensorSpec, rows: Range<Int>) throws -> [UInt8] {
    stored[spec.name].map { rowBytes($0, 0, rows) } ?? []
  }
}
