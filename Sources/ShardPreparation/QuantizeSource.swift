import Checkpoints
import ModelArchitectures
import Quantization
import TensorCore

/// A checkpoint's tensor seen as rows of ours: some of its output channels, in our order, and
/// turned back where the checkpoint stores [input, output].
struct QuantizeSource: Sendable {
  let checkpoint: Checkpoint
  let spec: TensorSpec
  /// Where the checkpoint has it.
  let entry: TensorEntry
  private let keeping: PassThroughScheme

  /// Finds the tensor and compares its shape and type with what the model needs.
  ///
  /// Throws: `PreparationFault` naming the tensor.
  init(_ spec: TensorSpec, in checkpoint: Checkpoint) throws(PreparationFault) {
    let found = spec.source.names.lazy.compactMap { checkpoint.entry($0) }.first
    guard let entry = found else {
      let spellings = spec.source.names.count > 1 ? " (or \(spec.source.names[1]))" : ""
      throw PreparationFault(
        "missingTensor",
        "\(checkpoint.directory) lacks the tensor \(spec.source.names[0])\(spellings) that its "
          + "config.json asks for; download the checkpoint again",
        context: ["file": checkpoint.directory, "tensor": spec.source.names[0]])
    }
    let context = ["file": checkpoint.path(of: entry.name), "tensor": entry.name]
    guard entry.shape == spec.source.shape else {
      throw PreparationFault(
        "tensorShape",
        "tensor \(entry.name) of \(checkpoint.path(of: entry.name)) has the shape "
          + "\(entry.shape), and config.json asks for \(spec.source.shape); the two do not "
          + "belong together",
        context: context)
    }
    guard let keeping = PassThroughScheme(keeping: entry.dataType) else {
      throw PreparationFault(
        "tensorType",
        "tensor \(entry.name) of \(checkpoint.path(of: entry.name)) is "
          + "\(entry.dataType.rawValue); weights have to be F16, BF16 or F32: get the "
          + "unquantized version of the model",
        context: context)
    }
    self.checkpoint = checkpoint
    self.spec = spec
    self.entry = entry
    self.keeping = keeping
  }

  /// Where the checkpoint has its bytes.
  var place: (file: Int, bytes: Range<Int>) { checkpoint.place(of: entry.name) ?? (0, 0..<0) }

  /// Bytes that one pass over the tensor reads.
  var byteCount: Int { spec.rows * spec.columns * entry.dataType.byteCount }

  /// The weights of some rows of ours.
  ///
  /// Shapes: rows × columns floats, row after row.
  /// Throws: `CheckpointFault` or `PreparationFault` for NaN and infinity, naming the element.
  func floats(rows: Range<Int>) throws -> [Float] {
    var floats: [Float] = []
    try read(rows: rows, into: &floats)
    return floats
  }

  /// The same into an array, which is used again where it has the right length.
  func read(rows: Range<Int>, into floats: inout [Float]) throws {
    let count = rows.count * spec.columns
    if floats.count != count { floats = [Float](repeating: 0, count: count) }
    if spec.shape.count == 1 {
      floats = try vector()
    } else if spec.source.isTransposed {
      try readTransposed(rows, into: &floats)
    } else {
      var span = floats.mutableSpan
      var done = 0
      for channels in storedChannels(of: rows) {
        let count = channels.count * spec.columns
        var part = span._mutatingExtracting(done..<done + count)
        try checkpoint.readFloats(entry.name, rows: channels, into: &part)
        done += count
      }
    }
  }

  /// The stored channels behind some rows of ours, as runs in our order.
  private func storedChannels(of rows: Range<Int>) -> [Range<Int>] {
    guard let runs = spec.source.channels else { return [rows] }
    var result: [Range<Int>] = []
    var first = 0
    for run in runs {
      let part = rows.clamped(to: first..<first + run.count)
      if !part.isEmpty {
        let start = run.lowerBound + part.lowerBound - first
        result.append(start..<start + part.count)
      }
      first += run.count
    }
    return result
  }

  private func vector() throws -> [Float] {
    var stored = [Float](repeating: 0, count: entry.elementCount)
    var span = stored.mutableSpan
    try checkpoint.readFloats(entry.name, rows: 0..<1, into: &span)
    guard spec.source.channels != nil else { return stored }
    return storedChannels(of: 0..<spec.columns).flatMap { stored[$0] }
  }

  /// Gathers columns of the stored matrix, which are rows of ours.
  private func readTransposed(_ rows: Range<Int>, into floats: inout [Float]) throws {
    let size = entry.dataType.byteCount
    let storedColumns = entry.shape[1]
    for column in 0..<spec.columns {
      var row = 0
      for channels in storedChannels(of: rows) {
        let start = (column * storedColumns + channels.lowerBound) * size
        let values = try elements(start..<start + channels.count * size)
        for value in values {
          guard value.isFinite else {
            throw notFinite(value, row: column, column: channels.lowerBound + row)
          }
          floats[row * spec.columns + column] = value
          row += 1
        }
      }
    }
  }

  /// A run of stored elements.
  private func elements(_ range: Range<Int>) throws -> [Float] {
    var bytes = [UInt8](repeating: 0, count: range.count)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    try checkpoint.readBytes(entry.name, bytes: range, into: &raw)
    let count = range.count / entry.dataType.byteCount
    var floats = [Float](repeating: 0, count: count)
    var target = floats.mutableSpan
    try keeping.decode(planes: [bytes], rowCount: 1, columns: count, into: &target)
    return floats
  }

  private func notFinite(_ value: Float, row: Int, column: Int) -> PreparationFault {
    let path = checkpoint.path(of: entry.name)
    return PreparationFault(
      "notFinite",
      "tensor \(entry.name) of \(path) holds \(value) at element [\(row), \(column)]; weights "
        + "have to be finite: get a sound copy of the model",
      context: ["file": path, "tensor": entry.name])
  }
}
