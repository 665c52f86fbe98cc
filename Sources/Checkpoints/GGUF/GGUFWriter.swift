import StrictJSON
import TensorCore

/// Writes a GGUF file of version 3 whose tensors are known beforehand and whose bytes come in any
/// order and from several threads.
///
/// The bytes go to `<path>.partial`; `finish` gives the file its name.
public final class GGUFWriter: Sendable {
  public let path: String
  /// The tensors in the order given, which is that of their data.
  public let tensors: [GGUFTensor]
  private let file: OutputFile

  private static let alignment = 32

  /// Creates the file and writes its header.
  ///
  /// - Parameter metadata: keys with values, in their order; numbers are written as wide as the
  ///   format's readers expect them.
  /// Precondition: names differ; rows are whole blocks of their type.
  public init(
    path: String, metadata: [(String, GGUFEntry)],
    tensors: [(name: String, type: GGUFTensorType, shape: [Int])]
  ) throws {
    self.path = path
    var header = GGUFBytes()
    header.append(Array("GGUF".utf8))
    header.append(UInt32(3))
    header.append(UInt64(tensors.count))
    header.append(UInt64(metadata.count))
    for (key, entry) in metadata {
      header.append(key)
      entry.write(to: &header)
    }
    var offset = 0
    var sizes: [Range<Int>] = []
    for (name, type, shape) in tensors {
      let block = type.block
      precondition(
        !shape.isEmpty && shape.allSatisfy { $0 > 0 }
          && shape[shape.count - 1] % block.elements == 0,
        "\(name) of \(shape) as \(type.name)")
      let count = shape.reduce(1, *) / block.elements * block.bytes
      header.append(name)
      header.append(UInt32(shape.count))
      for dimension in shape.reversed() { header.append(UInt64(dimension)) }
      header.append(type.rawValue)
      header.append(UInt64(offset))
      sizes.append(offset..<offset + count)
      offset = Self.aligned(offset + count)
    }
    let dataOffset = Self.aligned(header.bytes.count)
    self.tensors = zip(tensors, sizes).map { tensor, place in
      GGUFTensor(
        name: tensor.name, type: tensor.type, shape: tensor.shape,
        byteRange: (dataOffset + place.lowerBound)..<(dataOffset + place.upperBound))
    }
    file = try OutputFile(path: Self.stagingPath(path))
    header.append([UInt8](repeating: 0, count: dataOffset - header.bytes.count))
    try file.write(header.bytes, at: 0)
    // The padding behind the last tensor, before anything else: the file has its length.
    if let last = sizes.last, last.upperBound < offset {
      let padding = [UInt8](repeating: 0, count: offset - last.upperBound)
      try file.write(padding, at: dataOffset + last.upperBound)
    }
  }

  private static func aligned(_ offset: Int) -> Int {
    (offset + alignment - 1) / alignment * alignment
  }

  private static func stagingPath(_ path: String) -> String { path + ".partial" }

  /// Writes some of a tensor's bytes.
  ///
  /// - Parameter index: of the tensor, in the order given.
  public func write(tensor index: Int, _ bytes: [UInt8], at offset: Int) throws {
    let tensor = tensors[index]
    precondition(
      offset >= 0 && offset + bytes.count <= tensor.byteCount,
      "bytes \(offset)..<\(offset + bytes.count) of \(tensor.name), which has \(tensor.byteCount)")
    try file.write(bytes, at: tensor.byteRange.lowerBound + offset)
  }

  /// Syncs the file and gives it its name.
  public func finish() throws {
    try file.synchronize()
    try Directory.rename(Self.stagingPath(path), to: path)
    try Directory.synchronize(Directory.parent(of: path))
  }

  /// Removes what was written so far.
  public func abandon() { try? Directory.remove(Self.stagingPath(path)) }
}

/// A value to be written, with the type that llama.cpp reads it as.
public enum GGUFEntry: Sendable, Equatable {
  case uint32(Int)
  case float32(Double)
  case bool(Bool)
  case string(String)
  case strings([String])
  case int32s([Int])
  case float32s([Float])

  func write(to bytes: inout GGUFBytes) {
    func begin(_ kind: GGUFValue.Kind) { bytes.append(kind.rawValue) }
    func beginArray(_ kind: GGUFValue.Kind, _ count: Int) {
      bytes.append(GGUFValue.Kind.array.rawValue)
      bytes.append(kind.rawValue)
      bytes.append(UInt64(count))
    }
    switch self {
    case .uint32(let number):
      begin(.uint32)
      bytes.append(UInt32(number))
    case .float32(let number):
      begin(.float32)
      bytes.append(Float(number).bitPattern)
    case .bool(let flag):
      begin(.bool)
      bytes.append([flag ? 1 : 0])
    case .string(let text):
      begin(.string)
      bytes.append(text)
    case .strings(let texts):
      beginArray(.string, texts.count)
      for text in texts { bytes.append(text) }
    case .int32s(let numbers):
      beginArray(.int32, numbers.count)
      for number in numbers { bytes.append(UInt32(bitPattern: Int32(number))) }
    case .float32s(let numbers):
      beginArray(.float32, numbers.count)
      for number in numbers { bytes.append(number.bitPattern) }
    }
  }
}

/// Bytes of a header in the making.
struct GGUFBytes {
  private(set) var bytes: [UInt8] = []

  mutating func append(_ more: [UInt8]) { bytes += more }

  mutating func append(_ number: some FixedWidthInteger) {
    for shift in stride(from: 0, to: type(of: number).bitWidth, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: number >> shift))
    }
  }

  mutating func append(_ text: String) {
    append(UInt64(text.utf8.count))
    bytes += Array(text.utf8)
  }
}
