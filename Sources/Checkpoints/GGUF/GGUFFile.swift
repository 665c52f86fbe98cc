import StrictJSON
import TensorCore

/// A GGUF file, or the parts that one was split into, open for reading.
public final class GGUFFile: Sendable {
  public let path: String
  /// The header of the first part, which has the keys.
  public let header: GGUFHeader
  /// All parts, in their order; one where the file was not split.
  public let parts: [InputFile]
  /// The tensors of all parts in their order.
  public let tensors: [GGUFTensor]
  private let places: [String: (part: Int, tensor: GGUFTensor)]

  /// Reads and checks the headers of all parts; weights stay unread.
  ///
  /// Throws: `CheckpointFault` or `FileFault` naming the file, and the key or tensor.
  public init(path: String) throws {
    self.path = path
    let first = try InputFile(path: path)
    header = try GGUFHeader.read(from: first)
    var parts = [first]
    var places: [String: (part: Int, tensor: GGUFTensor)] = [:]
    var tensors = header.tensors
    for tensor in tensors { places[tensor.name] = (0, tensor) }
    let split = try GGUFSplit(header, path: path)
    for number in 1..<(split?.count ?? 1) {
      guard let split else { break }
      let file = try split.open(part: number)
      let other = try GGUFHeader.read(from: file)
      try split.check(other, part: number, path: file.path)
      for tensor in other.tensors {
        guard places.updateValue((number, tensor), forKey: tensor.name) == nil else {
          throw CheckpointFault(
            "gguf.duplicateTensor",
            "tensor \(Excerpt.quoted(tensor.name)) stands in \(file.path) and in another part; "
              + "download all parts again", file: file.path, tensor: tensor.name)
        }
      }
      tensors += other.tensors
      parts.append(file)
    }
    try split?.check(tensorCount: tensors.count)
    self.parts = parts
    self.tensors = tensors
    self.places = places
  }

  public subscript(key: String) -> GGUFValue? { header.values[key] }

  public func tensor(_ name: String) -> GGUFTensor? { places[name]?.tensor }

  /// The file that holds a tensor, for messages.
  public func path(of tensor: GGUFTensor) -> String {
    places[tensor.name].map { parts[$0.part].path } ?? path
  }

  /// Whether a file begins as GGUF files do.
  public static func isOne(path: String) -> Bool {
    guard let file = try? InputFile(path: path), file.byteCount >= 4 else { return false }
    return (try? file.bytes(at: 0, count: 4)) == Array("GGUF".utf8)
  }

  /// Copies some of a tensor's bytes.
  ///
  /// Precondition: the tensor is one of this file, `bytes` lies within it and `span` is as long.
  public func readBytes(
    of tensor: GGUFTensor, _ bytes: Range<Int>, into span: inout MutableRawSpan
  ) throws(FileFault) {
    precondition(
      bytes.lowerBound >= 0 && bytes.upperBound <= tensor.byteCount,
      "bytes \(bytes) of \(tensor.name), which has \(tensor.byteCount)")
    let part = parts[places[tensor.name]?.part ?? 0]
    try part.read(into: &span, at: tensor.byteRange.lowerBound + bytes.lowerBound)
  }

  /// A copy of some of a tensor's bytes.
  public func bytes(of tensor: GGUFTensor, _ range: Range<Int>) throws(FileFault) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: range.count)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    try readBytes(of: tensor, range, into: &raw)
    return bytes
  }
}
