import Checkpoints
import ModelArchitectures
import Quantization
import StrictJSON
import TensorCore
import TensorKernels

/// The arrow from a GPTQ checkpoint to a quantized one, where that is exact: symmetric codes of 4
/// bits in groups of whole blocks are blocks of q4_0 with the group's scale.
public struct GPTQImport: Sendable {
  private let writing: ImportWriting

  /// Whether a configuration says that GPTQ has quantized the weights.
  public static func isOne(_ configuration: JSONObject) -> Bool {
    configuration["quantization_config"]?["quant_method"]?.string == "gptq"
  }

  /// Resolves every tensor before any work begins.
  ///
  /// Throws: `PreparationFault` where the codes are not such that q4_0 holds them exactly.
  public init(_ checkpoint: Checkpoint) throws {
    let path = checkpoint.directory
    let record = checkpoint.configuration["quantization_config"]
    let group = record?["group_size"]?.int ?? 128
    guard record?["bits"]?.int == 4, record?["sym"]?.bool != false,
      record?["desc_act"]?.bool != true, group == -1 || (group > 0 && group % 32 == 0)
    else {
      throw Self.refusal(
        path,
        "has not symmetric codes of 4 bits in groups of a multiple of 32 without desc_act")
    }
    var configuration = checkpoint.configuration
    configuration["quantization_config"] = nil
    let architecture = try ArchitectureRegistry.architecture(for: configuration)
    // The first form of the files stores one less than what codes count from.
    let zeros: UInt8 = record?["checkpoint_format"]?.string == "gptq_v2" ? 0x88 : 0x77
    var seen: Set<String> = []
    var used: Set<String> = []
    var parts: [ImportWriting.Part] = []
    let components = architecture.components
    for (index, component) in components.enumerated() {
      var jobs: [any ImportJob] = []
      for spec in architecture.tensors(of: component) where seen.insert(spec.name).inserted {
        jobs.append(
          try Self.job(spec, in: checkpoint, group: group, zeros: zeros, used: &used))
      }
      guard !jobs.isEmpty else { continue }
      parts.append(
        ImportWriting.Part(
          name: QuantizePlan.fileName(index, of: components.count), jobs: jobs))
    }
    try Self.refuseBiases(checkpoint, used: used)
    writing = ImportWriting(
      format: "gptq", configuration: configuration, parts: parts,
      tokenizerFiles: try checkpoint.tokenizerFiles.map {
        ($0, try InputFile.contents(of: "\(path)/\($0)"))
      },
      vocabularySize: architecture.dimensions.vocabularySize,
      sources: try SourceDigests(checkpoint))
  }

  fileprivate static func refusal(_ path: String, _ what: String) -> PreparationFault {
    PreparationFault(
      "gptq",
      "\(path) \(what), which none of our schemes holds exactly; give the original fp16 "
        + "checkpoint, or a GGUF file of the model", context: ["file": path])
  }

  /// Files have biases also where the model has none; they have to be zero.
  private static func refuseBiases(_ checkpoint: Checkpoint, used: Set<String>) throws {
    for name in checkpoint.tensorNames where name.hasSuffix(".bias") && !used.contains(name) {
      guard let entry = checkpoint.entry(name), entry.byteCount <= 1 << 24 else { continue }
      var bytes = [UInt8](repeating: 0, count: entry.byteCount)
      var span = bytes.mutableSpan
      var raw = unsafe span.mutableBytes
      try checkpoint.readBytes(name, bytes: 0..<entry.byteCount, into: &raw)
      guard bytes.allSatisfy({ $0 == 0 }) else {
        throw PreparationFault(
          "extraTensor",
          "\(checkpoint.path(of: name)) holds the tensor \(name), but config.json asks for no bias "
            + "there; the two do not belong together",
          context: ["file": checkpoint.path(of: name), "tensor": name])
      }
    }
  }

  private static func job(
    _ spec: TensorSpec, in checkpoint: Checkpoint, group: Int, zeros: UInt8,
    used: inout Set<String>
  ) throws -> any ImportJob {
    let stem = spec.source.names.lazy.filter { $0.hasSuffix(".weight") }
      .map { String($0.dropLast(7)) }.first { checkpoint.entry($0 + ".qweight") != nil }
    guard let stem, spec.shape.count == 2 else {
      let source = try QuantizeSource(spec, in: checkpoint)
      used.insert(source.entry.name)
      return PlainImportJob(source: source)
    }
    return try GPTQTensorJob(spec, stem: stem, in: checkpoint, group: group, zeros: zeros)
  }

  /// Writes the quantized checkpoint; it appears in `directory` whole or not at all.
  public func run(
    to directory: String, pool: WorkerPool, progress: ProgressHandler? = nil
  ) throws -> ImportSummary {
    try writing.run(to: directory, pool: pool, progress: progress)
  }
}

/// A tensor that keeps its type.
private struct PlainImportJob: ImportJob {
  let source: QuantizeSource
  let stored: StoredTensor

  init(source: QuantizeSource) {
    self.source = source
    let scheme: any QuantizationScheme =
      PassThroughScheme(keeping: source.entry.dataType) ?? PassThroughScheme(.f32)
    stored = StoredTensor(name: source.spec.name, scheme: scheme, shape: source.spec.shape)
  }

  func bytes(rows: Range<Int>) throws -> [UInt8] {
    let floats = try source.floats(rows: rows)
    var planes: [[UInt8]] = []
    stored.scheme.encode(
      floats.span, rowCount: rows.count, columns: stored.columns, into: &planes)
    return planes[0]
  }
}

/// A matrix of GPTQ: `qweight` [inputs / 8, outputs] has eight codes in each integer, the first in
/// the lowest bits; `scales` [groups, outputs]; `qzeros` [groups, outputs / 8] one less than what
/// codes count from; `g_idx` [inputs] the group of each input.
private struct GPTQTensorJob: ImportJob {
  let stored: StoredTensor
  private let checkpoint: Checkpoint
  private let stem: String
  private let spec: TensorSpec
  private let group: Int
  private let outputs: Int

  init(
    _ spec: TensorSpec, stem: String, in checkpoint: Checkpoint, group: Int, zeros: UInt8
  ) throws {
    self.spec = spec
    self.stem = stem
    self.checkpoint = checkpoint
    let inputs = spec.columns
    self.group = group == -1 ? inputs : group
    let outputs = spec.source.isTransposed ? spec.source.shape[1] : spec.source.shape[0]
    self.outputs = outputs
    stored = StoredTensor(
      name: spec.name, scheme: GGMLScheme(.q4_0), shape: spec.shape)
    let groups = (inputs + self.group - 1) / self.group
    let path = checkpoint.path(of: stem + ".qweight")
    for (name, type, shape) in [
      ("qweight", DataType.i32, [inputs / 8, outputs]), ("scales", .f16, [groups, outputs]),
      ("qzeros", .i32, [groups, outputs / 8]),
    ] {
      guard let entry = checkpoint.entry("\(stem).\(name)"), entry.dataType == type,
        entry.shape == shape, inputs % 32 == 0
      else {
        throw PreparationFault(
          "tensorShape",
          "tensor \(stem).\(name) of \(path) is missing or not \(type.rawValue) of \(shape), as 4 "
            + "bits in groups of \(self.group) would be", context: ["file": path, "tensor": stem])
      }
    }
    try checkOrder(path, zeros)
  }

  /// Codes have to count from 8, and groups have to lie one after the other.
  private func checkOrder(_ path: String, _ zeros: UInt8) throws {
    guard try whole("qzeros").allSatisfy({ $0 == zeros }) else {
      throw GPTQImport.refusal(path, "has zero points of its own in \(stem)")
    }
    guard let entry = checkpoint.entry(stem + ".g_idx") else { return }
    let order = try whole("g_idx")
    let isPlain =
      entry.dataType == .i32 && entry.shape == [spec.columns]
      && (0..<spec.columns).allSatisfy { column in
        let number = (0..<4).reduce(0) { $0 | Int(order[4 * column + $1]) << (8 * $1) }
        return number == column / group
      }
    guard isPlain else { throw GPTQImport.refusal(path, "has groups in another order in \(stem)") }
  }

  private func whole(_ name: String) throws -> [UInt8] {
    guard let entry = checkpoint.entry("\(stem).\(name)") else { return [] }
    return try piece(name, 0..<entry.byteCount)
  }

  private func piece(_ name: String, _ range: Range<Int>) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: range.count)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    try checkpoint.readBytes("\(stem).\(name)", bytes: range, into: &raw)
    return bytes
  }

  /// The outputs behind some rows of ours.
  private func channels(_ rows: Range<Int>) -> [Int] {
    let all = spec.source.channels?.flatMap { Array($0) }
    return rows.map { all?[$0] ?? $0 }
  }

  func bytes(rows: Range<Int>) throws -> [UInt8] {
    let channels = channels(rows)
    guard let low = channels.min(), let high = channels.max() else { return [] }
    let width = high - low + 1
    let blocks = spec.columns / 32
    var result = [UInt8](repeating: 0, count: rows.count * blocks * 18)
    for block in 0..<blocks {
      let scaleRow = (block * 32 / group * outputs + low) * 2
      let scales = try piece("scales", scaleRow..<scaleRow + 2 * width)
      // Four rows of integers hold the codes of 32 inputs.
      let codes = try (0..<4).map { quarter in
        let first = ((block * 4 + quarter) * outputs + low) * 4
        return try piece("qweight", first..<first + 4 * width)
      }
      for (row, channel) in channels.enumerated() {
        let place = channel - low
        let target = (row * blocks + block) * 18
        guard scales[2 * place + 1] & 0x7c != 0x7c else {
          throw PreparationFault(
            "notFinite", "\(stem).scales of \(checkpoint.directory) holds no finite number",
            context: ["file": checkpoint.directory, "tensor": stem + ".scales"])
        }
        result[target] = scales[2 * place]
        result[target + 1] = scales[2 * place + 1]
        func code(_ column: Int) -> UInt8 {
          let byte = codes[column / 8][4 * place + column % 8 / 2]
          return column % 2 == 0 ? byte & 15 : byte >> 4
        }
        for column in 0..<16 {
          result[target + 2 + column] = code(column) | code(column + 16) << 4
        }
      }
    }
    return result
  }
}
