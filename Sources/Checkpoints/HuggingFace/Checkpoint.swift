import StrictJSON
import TensorCore

/// A directory as Hugging Face publishes models: `config.json`, weights in one or several
/// safetensors files, perhaps a tokenizer.
public final class Checkpoint: Sendable {
  public let directory: String
  /// `config.json` as it is.
  public let configuration: JSONObject
  /// All tensors, sorted by name.
  public let tensorNames: [String]
  /// The weight files in use, sorted by name.
  public let weightFiles: [SafetensorsFile]
  /// Tensors that the weight files hold and the index does not list, sorted; they cannot be read.
  public let unlistedTensorNames: [String]
  /// Which of `tokenizerFileNames` the directory holds, sorted.
  public let tokenizerFiles: [String]
  private let places: [String: (file: Int, entry: TensorEntry)]

  public static let tokenizerFileNames = [
    "added_tokens.json", "chat_template.jinja", "generation_config.json", "merges.txt",
    "special_tokens_map.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
    "vocab.json",
  ]
  private static let maximumConfigurationByteCount = 16 << 20

  /// Opens the directory and checks the headers of all its weight files.
  ///
  /// Throws: `CheckpointFault` or `FileFault` that names the file and the cause.
  public init(directory: String) throws {
    self.directory = directory
    guard Directory.exists(directory) else {
      throw CheckpointFault(
        "noDirectory",
        "\(directory) is no directory; give the directory that holds config.json and the "
          + "safetensors files", file: directory, exitStatus: .noInput)
    }
    let configurationPath = directory + "/config.json"
    guard Directory.isFile(configurationPath) else {
      throw CheckpointFault(
        "noConfiguration",
        "\(directory) holds no config.json, so this is no checkpoint; give the directory of a "
          + "downloaded model", file: configurationPath, exitStatus: .noInput)
    }
    configuration = try CheckpointJSON.object(
      path: configurationPath, limit: Self.maximumConfigurationByteCount)
    tokenizerFiles = Self.tokenizerFileNames.filter { Directory.isFile(directory + "/" + $0) }
    let weights = try WeightFiles(directory: directory)
    weightFiles = weights.files
    places = weights.places
    unlistedTensorNames = weights.unlistedNames
    tensorNames = weights.places.keys.sorted()
  }

  public func entry(_ name: String) -> TensorEntry? { places[name]?.entry }

  /// Where a tensor's bytes lie: the number of the file among `weightFiles`, and its bytes there.
  public func place(of name: String) -> (file: Int, bytes: Range<Int>)? {
    places[name].map { ($0.file, $0.entry.byteRange) }
  }

  /// The file that holds a tensor, for messages.
  public func path(of name: String) -> String {
    places[name].map { weightFiles[$0.file].path } ?? directory
  }

  private func place(_ name: String) throws(CheckpointFault) -> (SafetensorsFile, TensorEntry) {
    guard let place = places[name] else {
      throw CheckpointFault(
        "missingTensor", "\(directory) holds no tensor \(Excerpt.quoted(name))", file: directory,
        tensor: name)
    }
    return (weightFiles[place.file], place.entry)
  }

  /// Reads some rows of a tensor as floats; F16 and BF16 are widened.
  ///
  /// A tensor of several dimensions has as many rows as its first says; any other has one.
  ///
  /// Throws: `CheckpointFault` where the tensor is missing, holds no floats, or holds NaN or
  /// infinity among the elements read.
  /// Precondition: `rows` lies within the tensor and `floats` is as long as they are together.
  public func readFloats(
    _ name: String, rows: Range<Int>, into floats: inout MutableSpan<Float>
  ) throws {
    let (file, entry) = try place(name)
    let rowCount = entry.shape.count > 1 ? entry.shape[0] : 1
    precondition(
      rows.lowerBound >= 0 && rows.upperBound <= rowCount, "rows \(rows) of \(rowCount) of \(name)")
    let columns = rowCount == 0 ? 0 : entry.elementCount / rowCount
    try FloatReader(file: file.file, entry: entry)
      .read(rows.lowerBound * columns..<rows.upperBound * columns, into: &floats)
  }

  /// Copies some of a tensor's bytes as they are stored.
  ///
  /// Precondition: `bytes` lies within the tensor and `span` is as long as it.
  public func readBytes(
    _ name: String, bytes: Range<Int>, into span: inout MutableRawSpan
  ) throws {
    let (file, entry) = try place(name)
    try file.readBytes(of: entry, bytes, into: &span)
  }
}
