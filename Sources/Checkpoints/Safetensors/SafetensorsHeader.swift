import StrictJSON
import TensorCore

/// The directory of a safetensors file: which tensors it holds, and where.
///
/// Source: https://github.com/huggingface/safetensors#format: eight bytes of length, a JSON
/// object, the data. This reader asks for more than the format says: no name twice, no name
/// that cannot be printed, ranks of at most eight.
public struct SafetensorsHeader: Sendable {
  /// The tensors in the order of their data.
  public let entries: [TensorEntry]
  /// The texts under `__metadata__`.
  public let metadata: [(String, String)]
  /// Where the data begin, counted from the beginning of the file.
  public let dataOffset: Int

  /// The format's own limit for the header.
  public static let maximumByteCount = 100_000_000
  public static let maximumTensorCount = 1_000_000
  public static let maximumRank = 8
  /// Bytes of UTF-8 in a tensor's name.
  public static let maximumNameLength = 512

  /// Reads and checks the header; the tensors' bytes stay unread.
  ///
  /// Throws: `CheckpointFault` for whatever is not a sound safetensors file.
  public static func read(from file: InputFile) throws(CheckpointFault) -> SafetensorsHeader {
    do {
      let bytes = try headerBytes(of: file)
      var parser = HeaderParser(bytes, path: file.path)
      try parser.parse()
      let dataOffset = 8 + bytes.count
      let entries = try placed(
        parser.tensors, path: file.path, dataOffset: dataOffset,
        dataByteCount: file.byteCount - dataOffset)
      return SafetensorsHeader(
        entries: entries, metadata: parser.metadata, dataOffset: dataOffset)
    } catch let fault as CheckpointFault {
      throw fault
    } catch let error as JSONError {
      throw CheckpointFault(
        "headerNotJSON",
        "\(file.path) is not a sound safetensors file: its header is not strict JSON "
          + "(\(error.message), at byte \(8 + error.offset) of the file); \(downloadAgain)",
        file: file.path)
    } catch let fault as FileFault {
      throw CheckpointFault(
        "unreadable", fault.message, file: file.path, exitStatus: fault.exitStatus)
    } catch {
      throw CheckpointFault("unreadable", "cannot read \(file.path): \(error)", file: file.path)
    }
  }

  static let downloadAgain = "download or copy the file again"

  /// The JSON text, read only when its length is plausible and fits the file.
  private static func headerBytes(of file: InputFile) throws -> [UInt8] {
    let path = file.path
    if let kind = try ForeignContent.detect(in: file) {
      throw CheckpointFault("foreignContent", kind.sentence(path: path), file: path)
    }
    guard file.byteCount >= 8 else {
      throw CheckpointFault(
        "tooShort",
        "\(path) has \(file.byteCount) bytes, and a safetensors file at least 8; "
          + downloadAgain,
        file: path)
    }
    let field = try file.bytes(at: 0, count: 8)
    let length = field.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= UInt64(maximumByteCount) else {
      throw CheckpointFault(
        "headerTooLarge",
        "\(path) is not a safetensors file: its header would have \(length) bytes, and the "
          + "format allows \(maximumByteCount); \(downloadAgain)",
        file: path)
    }
    guard Int(length) <= file.byteCount - 8 else {
      throw CheckpointFault(
        "headerTruncated",
        "\(path) is cut off: its header has \(length) bytes, but only \(file.byteCount - 8) "
          + "follow; \(downloadAgain)",
        file: path)
    }
    // A look at the beginning first: a large file of something else is not read as a whole.
    let start = try file.bytes(at: 8, count: min(Int(length), 4096))
    let first = start.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    guard first == UInt8(ascii: "{") || (first == nil && start.count < length) else {
      throw CheckpointFault(
        "headerNotObject",
        "\(path) is not a safetensors file: its header is no JSON object; \(downloadAgain)",
        file: path)
    }
    return try file.bytes(at: 8, count: Int(length))
  }

  /// Orders the tensors by place and proves that they cover the data, each byte once.
  private static func placed(
    _ tensors: [HeaderParser.Tensor], path: String, dataOffset: Int, dataByteCount: Int
  ) throws(CheckpointFault) -> [TensorEntry] {
    let ordered = tensors.sorted { ($0.begin, $0.end) < ($1.begin, $1.end) }
    var entries: [TensorEntry] = []
    entries.reserveCapacity(ordered.count)
    var end = 0
    for tensor in ordered {
      guard tensor.begin == end else {
        throw misplaced(tensor, after: entries.last?.name, end: end, path: path)
      }
      guard tensor.end <= dataByteCount else {
        throw CheckpointFault(
          "truncated",
          "\(path) is cut off: tensor \(Excerpt.quoted(tensor.name)) ends at byte \(tensor.end) "
            + "of the data, but there are only \(dataByteCount); \(downloadAgain)",
          file: path, tensor: tensor.name)
      }
      end = tensor.end
      entries.append(
        TensorEntry(
          name: tensor.name, dataType: tensor.dataType, shape: tensor.shape,
          byteRange: (dataOffset + tensor.begin)..<(dataOffset + tensor.end)))
    }
    guard end == dataByteCount else {
      throw CheckpointFault(
        "trailingBytes",
        "\(path) holds \(dataByteCount - end) bytes after the last tensor, which belong to none; "
          + downloadAgain,
        file: path, tensor: entries.last?.name)
    }
    return entries
  }

  private static func misplaced(
    _ tensor: HeaderParser.Tensor, after previous: String?, end: Int, path: String
  ) -> CheckpointFault {
    let name = Excerpt.quoted(tensor.name)
    let neighbour =
      previous.map { "tensor \(Excerpt.quoted($0)) ends at \(end)" } ?? "the data begin at 0"
    if tensor.begin > end {
      return CheckpointFault(
        "hole",
        "\(path) has a hole: tensor \(name) begins at byte \(tensor.begin) of the data, but "
          + "\(neighbour); write the file again with a sound tool",
        file: path, tensor: tensor.name)
    }
    return CheckpointFault(
      "overlap",
      "\(path) has an overlap: tensor \(name) begins at byte \(tensor.begin) of the data, but "
        + "\(neighbour); write the file again with a sound tool",
      file: path, tensor: tensor.name)
  }
}
