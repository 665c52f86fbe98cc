import StrictJSON
import TensorCore

/// A safetensors file open for reading, from several threads at once.
public final class SafetensorsFile: Sendable {
  public let file: InputFile
  /// The tensors in the order of their data.
  public let entries: [TensorEntry]
  /// The texts under `__metadata__`.
  public let metadata: [(String, String)]
  private let indexByName: [String: Int]

  public var path: String { file.path }

  /// Opens the file and checks its header.
  ///
  /// Throws: `FileFault` where it cannot be opened, `CheckpointFault` where it is not sound.
  public init(path: String) throws {
    file = try InputFile(path: path)
    let header = try SafetensorsHeader.read(from: file)
    entries = header.entries
    metadata = header.metadata
    var indexByName: [String: Int] = [:]
    indexByName.reserveCapacity(header.entries.count)
    for (index, entry) in header.entries.enumerated() { indexByName[entry.name] = index }
    self.indexByName = indexByName
  }

  public subscript(name: String) -> TensorEntry? { indexByName[name].map { entries[$0] } }

  /// The entry of a tensor that has to be there.
  public func entry(_ name: String) throws(CheckpointFault) -> TensorEntry {
    guard let entry = self[name] else {
      throw CheckpointFault(
        "missingTensor",
        "\(path) holds no tensor \(Excerpt.quoted(name)); it has "
          + Self.list(entries.map(\.name)), file: path, tensor: name)
    }
    return entry
  }

  /// Copies some of a tensor's bytes.
  ///
  /// Precondition: `bytes` lies within the tensor and `span` is as long as it.
  public func readBytes(
    of entry: TensorEntry, _ bytes: Range<Int>, into span: inout MutableRawSpan
  ) throws(FileFault) {
    precondition(
      bytes.lowerBound >= 0 && bytes.upperBound <= entry.byteCount,
      "bytes \(bytes) of \(entry.name), which has \(entry.byteCount)")
    precondition(
      span.byteCount == bytes.count, "\(bytes.count) bytes into a span of \(span.byteCount)")
    try file.read(into: &span, at: entry.byteRange.lowerBound + bytes.lowerBound)
  }

  /// A copy of a whole tensor of 32-bit integers, such as `ids` of a token file.
  public func int32s(_ name: String) throws -> [Int32] {
    let entry = try entry(name)
    guard entry.dataType == .i32 else {
      throw CheckpointFault(
        "notIntegers",
        "tensor \(Excerpt.quoted(name)) of \(path) is \(entry.dataType.rawValue); expected I32",
        file: path, tensor: name)
    }
    let bytes = try file.bytes(at: entry.byteRange.lowerBound, count: entry.byteCount)
    return (0..<entry.elementCount).map { index in
      (0..<4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[4 * index + $1]) }
    }.map(Int32.init(bitPattern:))
  }

  /// A copy of a whole tensor of floats: F32, or F16 and BF16 widened.
  public func floats(_ name: String) throws -> [Float] {
    let entry = try entry(name)
    var values = [Float](repeating: 0, count: entry.elementCount)
    var span = values.mutableSpan
    try FloatReader(file: file, entry: entry).read(0..<entry.elementCount, into: &span)
    return values
  }

  /// Up to eight names for a sentence.
  static func list(_ names: [String]) -> String {
    guard !names.isEmpty else { return "none" }
    let shown = names.prefix(8).map { Excerpt.quoted($0) }.joined(separator: ", ")
    return names.count > 8 ? "\(shown) and \(names.count - 8) more" : shown
  }
}
