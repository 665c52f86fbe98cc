import StrictJSON
import Synchronization
import TensorCore

/// Writes a safetensors file whose tensors are known beforehand and whose bytes come in any
/// order and from several threads.
///
/// The bytes go to `<path>.partial`; `finish` gives the file its name once all are there, so
/// that nobody meets half a file.
public final class SafetensorsWriter: Sendable {
  public let path: String
  /// The tensors in the order given, which is the order of their data.
  public let entries: [TensorEntry]
  private let file: OutputFile
  private let indexByName: [String: Int]
  /// Bytes still to come for each tensor; nil once the file is finished.
  private let missing: Mutex<[Int]?>

  /// Creates the file and writes its header, padded so that the data begin at a multiple of 8.
  ///
  /// Precondition: names differ and are not empty; shapes are not negative and fit 64 bits.
  public init(
    path: String, tensors: [(name: String, dataType: DataType, shape: [Int])],
    metadata: [(String, String)] = []
  ) throws {
    let layout = Self.layout(tensors, metadata: metadata)
    self.path = path
    entries = layout.entries
    indexByName = Dictionary(
      uniqueKeysWithValues: layout.entries.enumerated().map { ($1.name, $0) })
    missing = Mutex(layout.entries.map(\.byteCount))
    file = try OutputFile(path: Self.stagingPath(path))
    try file.write(layout.header, at: 0)
  }

  deinit {
    let isFinished = missing.withLock { $0 == nil }
    if !isFinished { try? Directory.remove(Self.stagingPath(path)) }
  }

  private static func stagingPath(_ path: String) -> String { path + ".partial" }

  private static func layout(
    _ tensors: [(name: String, dataType: DataType, shape: [Int])], metadata: [(String, String)]
  ) -> (header: [UInt8], entries: [TensorEntry]) {
    var object = JSONObject()
    if !metadata.isEmpty {
      var texts = JSONObject()
      for (name, text) in metadata { texts[name] = .string(text) }
      object["__metadata__"] = .object(texts)
    }
    var end = 0
    var places: [Range<Int>] = []
    for (name, dataType, shape) in tensors {
      precondition(!name.isEmpty && object[name] == nil, "the tensor name \(name) twice")
      guard let count = TensorEntry.byteCount(of: dataType, shape: shape) else {
        preconditionFailure("tensor \(name) cannot have the shape \(shape) of \(dataType)")
      }
      places.append(end..<end + count)
      object[name] = [
        "dtype": .string(dataType.rawValue), "shape": .array(shape.map { JSONValue($0) }),
        "data_offsets": [JSONValue(end), JSONValue(end + count)],
      ]
      end += count
    }
    var text = Array(JSONValue.object(object).serialized(.compact).utf8)
    text += [UInt8](repeating: UInt8(ascii: " "), count: (8 - text.count % 8) % 8)
    let length = (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) }
    let dataOffset = 8 + text.count
    let entries = zip(tensors, places).map { tensor, place in
      TensorEntry(
        name: tensor.name, dataType: tensor.dataType, shape: tensor.shape,
        byteRange: (dataOffset + place.lowerBound)..<(dataOffset + place.upperBound))
    }
    return (length + text, entries)
  }

  /// Writes some of a tensor's bytes.
  ///
  /// Precondition: the tensor is one of those announced, the bytes lie within it, and no byte is
  /// written twice.
  public func write(_ name: String, _ bytes: RawSpan, at offset: Int) throws {
    guard let index = indexByName[name] else {
      preconditionFailure("tensor \(name) was not announced")
    }
    let entry = entries[index]
    precondition(
      offset >= 0 && offset + bytes.byteCount <= entry.byteCount,
      "bytes \(offset)..<\(offset + bytes.byteCount) of \(name), which has \(entry.byteCount)")
    try file.write(bytes, at: entry.byteRange.lowerBound + offset)
    let count = bytes.byteCount
    missing.withLock { $0?[index] -= count }
  }

  public func write(_ name: String, _ bytes: [UInt8], at offset: Int = 0) throws {
    try unsafe write(name, bytes.span.bytes, at: offset)
  }

  /// Asks the system to bring what was written to the disk, so that `finish` has less to wait for.
  public func beginSynchronizing() {
    file.beginSynchronizing(0..<(entries.last?.byteRange.upperBound ?? 0))
  }

  /// Syncs the file and gives it its name.
  ///
  /// Throws: `CheckpointFault` where bytes of a tensor were never written.
  public func finish() throws {
    let open = missing.withLock { $0?.firstIndex { $0 != 0 } }
    if let open {
      throw CheckpointFault(
        "incomplete",
        "not all bytes of tensor \(Excerpt.quoted(entries[open].name)) of \(path) were written",
        file: path, tensor: entries[open].name, exitStatus: .bug)
    }
    try file.synchronize()
    try Directory.rename(Self.stagingPath(path), to: path)
    missing.withLock { $0 = nil }
    try Directory.synchronize(Directory.parent(of: path))
  }
}
