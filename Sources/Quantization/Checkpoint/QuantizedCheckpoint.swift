import Checkpoints
import StrictJSON
import TensorCore

/// A directory that `shardtool quantize` has written: weights in the stored form of their
/// schemes, one safetensors file a component, with the model's configuration and tokenizer.
public final class QuantizedCheckpoint: Sendable {
  public let directory: String
  /// `config.json` of the model, with `quantization_config`.
  public let configuration: JSONObject
  /// Name of the recipe that chose the schemes.
  public let recipe: String
  /// All tensors by canonical name.
  public let tensors: [String: StoredTensor]
  /// Names of the tokenizer files that lie beside the weights, sorted.
  public let tokenizerFiles: [String]
  private let checkpoint: Checkpoint

  /// Opens the directory and checks that every plane is there in the type and shape that its
  /// scheme asks for.
  ///
  /// Throws: `CheckpointFault`, `FileFault` or `QuantizationFault` naming file and tensor.
  public convenience init(directory: String) throws {
    try self.init(Checkpoint(directory: directory))
  }

  /// The same for a directory that is open already.
  public init(_ checkpoint: Checkpoint) throws(QuantizationFault) {
    directory = checkpoint.directory
    configuration = checkpoint.configuration
    let record = try QuantizationRecord(
      configuration: configuration, source: directory + "/config.json")
    recipe = record.recipe
    tensors = Dictionary(uniqueKeysWithValues: record.tensors.map { ($0.name, $0) })
    tokenizerFiles = checkpoint.tokenizerFiles
    self.checkpoint = checkpoint
    try Self.check(record, in: checkpoint)
  }

  private static func check(
    _ record: QuantizationRecord, in checkpoint: Checkpoint
  ) throws(QuantizationFault) {
    func fault(_ message: String, tensor: String) -> QuantizationFault {
      QuantizationFault(
        "badPlane", "\(checkpoint.directory): \(message); quantize the original checkpoint again",
        context: ["file": checkpoint.path(of: tensor), "tensor": tensor])
    }
    var planeNames: Set<String> = []
    for tensor in record.tensors {
      for (index, plane) in tensor.planes.enumerated() {
        let name = tensor.storageName(plane: index)
        guard planeNames.insert(name).inserted else {
          throw fault("two tensors are stored under the name \(name)", tensor: tensor.name)
        }
        guard let entry = checkpoint.entry(name) else {
          throw fault("\(name) is missing", tensor: tensor.name)
        }
        guard entry.dataType == plane.dataType, entry.shape == plane.shape else {
          throw fault(
            "\(name) is \(entry.dataType.rawValue) \(entry.shape), expected "
              + "\(plane.dataType.rawValue) \(plane.shape)", tensor: tensor.name)
        }
      }
    }
    for name in checkpoint.tensorNames where !planeNames.contains(name) {
      throw fault("\(name) belongs to no tensor that config.json lists", tensor: name)
    }
  }

  /// The file that holds a plane, for messages.
  public func path(of tensor: StoredTensor, plane: Int = 0) -> String {
    checkpoint.path(of: tensor.storageName(plane: plane))
  }

  /// Copies some bytes of one plane.
  ///
  /// Precondition: `bytes` lies within the plane and `span` is as long as it.
  public func readPlane(
    _ tensor: StoredTensor, plane: Int, bytes: Range<Int>, into span: inout MutableRawSpan
  ) throws {
    try checkpoint.readBytes(tensor.storageName(plane: plane), bytes: bytes, into: &span)
  }

  /// The values of some rows: what an exact dot product would multiply with.
  ///
  /// Shapes: `floats` takes rows × columns numbers.
  public func readFloats(
    _ tensor: StoredTensor, rows: Range<Int>, into floats: inout MutableSpan<Float>
  ) throws {
    var planes: [[UInt8]] = []
    for (index, plane) in tensor.planes.enumerated() {
      let range = rows.lowerBound * plane.bytesPerRow..<rows.upperBound * plane.bytesPerRow
      var bytes = [UInt8](repeating: 0, count: range.count)
      var span = bytes.mutableSpan
      var raw = unsafe span.mutableBytes
      try readPlane(tensor, plane: index, bytes: range, into: &raw)
      planes.append(bytes)
    }
    try tensor.scheme.decode(
      planes: planes, rowCount: rows.count, columns: tensor.columns, into: &floats)
  }
}
