import StrictJSON
import TensorCore

/// What stands before the weights of a GGUF file: version, keys with values, and which tensors
/// there are.
///
/// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3. This reader
/// asks for more than the document says: nothing twice, no empty dimension, no overlap.
public struct GGUFHeader: Sendable {
  public let version: Int
  /// Keys in their order.
  public let keys: [String]
  public let values: [String: GGUFValue]
  /// The tensors in their order.
  public let tensors: [GGUFTensor]
  /// Where the weights begin.
  public let dataOffset: Int

  public static let maximumTensorCount = 1 << 20
  public static let maximumKeyCount = 1 << 16
  public static let maximumKeyLength = 65_535
  /// Bytes of UTF-8 in a tensor's name.
  public static let maximumNameLength = 64
  public static let maximumStringLength = 16 << 20
  public static let maximumArrayCount = 16 << 20
  /// Bytes of all keys and values together.
  public static let maximumMetadataLength = 512 << 20
  static let maximumAlignment = 65_536
  static let alignmentKey = "general.alignment"

  /// Reads and checks the header; the weights stay unread.
  ///
  /// Throws: `CheckpointFault` for whatever is not a sound GGUF file.
  public static func read(from file: InputFile) throws -> GGUFHeader {
    var cursor = GGUFCursor(file)
    let version = try readVersion(&cursor)
    let tensorCount = try cursor.count("tensors", size: 25, limit: maximumTensorCount)
    let keyCount = try cursor.count("keys", size: 13, limit: maximumKeyCount)
    var keys: [String] = []
    var values: [String: GGUFValue] = [:]
    for _ in 0..<keyCount {
      let (key, value) = try readPair(&cursor)
      guard values.updateValue(value, forKey: key) == nil else {
        throw cursor.fault("duplicateKey", "the key \(Excerpt.quoted(key)) stands twice")
      }
      keys.append(key)
      guard cursor.offset <= maximumMetadataLength else {
        throw cursor.fault(
          "metadata", "its keys and values have more than \(maximumMetadataLength) bytes")
      }
    }
    let alignment = try alignment(values, cursor)
    var places: [Place] = []
    var names: Set<String> = []
    for _ in 0..<tensorCount {
      let place = try readTensor(&cursor, alignment: alignment)
      guard names.insert(place.name).inserted else {
        throw cursor.fault(
          "duplicateTensor", "the tensor \(Excerpt.quoted(place.name)) stands twice",
          tensor: place.name)
      }
      places.append(place)
    }
    let dataOffset = (cursor.offset + alignment - 1) / alignment * alignment
    return GGUFHeader(
      version: version, keys: keys, values: values,
      tensors: try placed(places, dataOffset: dataOffset, cursor), dataOffset: dataOffset)
  }

  private static func readVersion(_ cursor: inout GGUFCursor) throws -> Int {
    let path = cursor.path
    guard cursor.remaining >= 4, try Array(cursor.bytes(4, "the mark")) == Array("GGUF".utf8)
    else {
      throw CheckpointFault(
        "gguf.magic", "\(path) is not a GGUF file: it does not begin with \"GGUF\"; give another",
        file: path)
    }
    let version = try cursor.unsigned32("the version")
    switch version {
    case 2, 3: return Int(version)
    case 1:
      throw CheckpointFault(
        "gguf.version",
        "\(path) is GGUF version 1, which was replaced in 2023; make it again from the original "
          + "model, or convert it with llama.cpp", file: path)
    case _ where version & 0xffff == 0 && version != 0:
      throw CheckpointFault(
        "gguf.version",
        "\(path) is a GGUF file for big-endian machines; get the usual little-endian one",
        file: path)
    default:
      throw CheckpointFault(
        "gguf.version",
        "\(path) is GGUF version \(version), and this program reads versions 2 and 3; "
          + (version > 3 ? "use a newer shardtool" : "download the file again"), file: path)
    }
  }

  private static func readPair(
    _ cursor: inout GGUFCursor
  ) throws -> (String, GGUFValue) {
    let key = try cursor.string("a key", limit: maximumKeyLength)
    guard !key.isEmpty, key.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
      throw cursor.fault(
        "key", "the key \(Excerpt.quoted(key)) is empty or holds other than printable ASCII")
    }
    let name = "the value of \(Excerpt.quoted(key))"
    let kind = try cursor.kind(name)
    switch kind {
    case .string:
      return (key, .string(try cursor.string(name, limit: maximumStringLength)))
    case .array: return (key, try readArray(&cursor, name))
    default:
      let bytes = try cursor.bytes(kind.byteCount, name)
      guard kind != .bool || bytes.allSatisfy({ $0 <= 1 }) else {
        throw cursor.fault("bool", "\(name) is neither true nor false")
      }
      return (key, GGUFValue(kind, bytes))
    }
  }

  private static func readArray(
    _ cursor: inout GGUFCursor, _ name: String
  ) throws -> GGUFValue {
    let kind = try cursor.kind("an element of \(name)")
    guard kind != .array else {
      throw cursor.fault("nestedArray", "\(name) is an array of arrays, which no key needs")
    }
    let count = try cursor.count(
      "elements of \(name)", size: kind.byteCount, limit: maximumArrayCount)
    guard kind == .string else {
      let bytes = Array(try cursor.bytes(count * kind.byteCount, name))
      guard kind != .bool || bytes.allSatisfy({ $0 <= 1 }) else {
        throw cursor.fault("bool", "\(name) holds neither true nor false")
      }
      return .numbers(GGUFNumbers(kind: kind, bytes: bytes))
    }
    var texts: [String] = []
    texts.reserveCapacity(count)
    for index in 0..<count {
      texts.append(
        try cursor.string("element \(index) of \(name)", limit: maximumStringLength))
    }
    return .strings(texts)
  }

  private static func alignment(
    _ values: [String: GGUFValue], _ cursor: GGUFCursor
  ) throws -> Int {
    guard let value = values[alignmentKey] else { return 32 }
    guard case .unsigned(let number) = value, (1...UInt64(maximumAlignment)).contains(number),
      number & (number - 1) == 0
    else {
      let found = value.int.map { "\($0)" } ?? value.kindName
      throw cursor.fault(
        "alignment",
        "\(alignmentKey) is \(found); expected a power of two of at most \(maximumAlignment)")
    }
    return Int(number)
  }

  /// A tensor whose offset counts from the beginning of the weights.
  private struct Place {
    let name: String
    let type: GGUFTensorType
    let shape: [Int]
    let offset: Int
    let byteCount: Int
  }

  private static func readTensor(
    _ cursor: inout GGUFCursor, alignment: Int
  ) throws -> Place {
    let name = try cursor.string("the name of a tensor", limit: maximumNameLength)
    let quoted = Excerpt.quoted(name)
    guard !name.isEmpty,
      !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
    else {
      throw cursor.fault(
        "tensorName", "a tensor's name \(quoted) is empty or holds control characters")
    }
    let rank = try cursor.unsigned32("the rank of \(quoted)")
    guard (1...4).contains(rank) else {
      throw cursor.fault(
        "rank", "tensor \(quoted) has \(rank) dimensions; expected 1 to 4", tensor: name)
    }
    var shape: [Int] = []
    for _ in 0..<rank {
      let dimension = try cursor.unsigned64("a dimension of \(quoted)")
      guard (1...UInt64(1) << 40).contains(dimension) else {
        throw cursor.fault(
          "dimension", "tensor \(quoted) has a dimension of \(dimension); expected 1 to 2^40",
          tensor: name)
      }
      shape.insert(Int(dimension), at: 0)
    }
    let type = try readType(&cursor, name)
    let byteCount = try byteCount(type, shape, name, cursor)
    let offset = try cursor.unsigned64("the offset of \(quoted)")
    guard offset % UInt64(alignment) == 0, offset <= UInt64(cursor.file.byteCount) else {
      throw cursor.fault(
        "offset",
        "tensor \(quoted) lies at offset \(offset), beyond the file or no multiple of the "
          + "alignment \(alignment)", tensor: name)
    }
    return Place(
      name: name, type: type, shape: shape, offset: Int(offset), byteCount: byteCount)
  }

  private static func readType(
    _ cursor: inout GGUFCursor, _ name: String
  ) throws -> GGUFTensorType {
    let number = try cursor.unsigned32("the type of \(Excerpt.quoted(name))")
    if let type = GGUFTensorType(rawValue: number) { return type }
    let quoted = Excerpt.quoted(name)
    if let old = GGUFTensorType.removed[number] {
      throw CheckpointFault(
        "gguf.removedType",
        "tensor \(quoted) of \(cursor.path) has the type \(old), which ggml has removed; make the "
          + "file again from the original model", file: cursor.path, tensor: name)
    }
    throw CheckpointFault(
      "gguf.tensorType",
      "tensor \(quoted) of \(cursor.path) has the unknown type \(number); use a newer shardtool, "
        + "or a file in another type", file: cursor.path, tensor: name)
  }

  private static func byteCount(
    _ type: GGUFTensorType, _ shape: [Int], _ name: String, _ cursor: GGUFCursor
  ) throws -> Int {
    let block = type.block
    guard shape[shape.count - 1] % block.elements == 0 else {
      throw cursor.fault(
        "blocks",
        "tensor \(Excerpt.quoted(name)) has rows of \(shape[shape.count - 1]) elements, no whole "
          + "blocks of \(type.name)", tensor: name)
    }
    var count = block.bytes
    for (index, dimension) in shape.enumerated() {
      let factor = index == shape.count - 1 ? dimension / block.elements : dimension
      let (product, overflow) = count.multipliedReportingOverflow(by: factor)
      guard !overflow, product < 1 << 50 else {
        throw cursor.fault(
          "size", "tensor \(Excerpt.quoted(name)) of shape \(shape) would be larger than any file",
          tensor: name)
      }
      count = product
    }
    return count
  }

  /// Proves that all tensors lie in the file and none over another.
  private static func placed(
    _ places: [Place], dataOffset: Int, _ cursor: GGUFCursor
  ) throws -> [GGUFTensor] {
    let available = cursor.file.byteCount - dataOffset
    for place in places where place.offset > available - place.byteCount {
      throw cursor.fault(
        "truncated",
        "tensor \(Excerpt.quoted(place.name)) ends at byte \(place.offset + place.byteCount) of "
          + "the weights, but there are only \(max(0, available))", tensor: place.name)
    }
    var end = 0
    var previous = ""
    for place in places.sorted(by: { ($0.offset, $0.byteCount) < ($1.offset, $1.byteCount) }) {
      guard place.offset >= end else {
        throw cursor.fault(
          "overlap",
          "tensor \(Excerpt.quoted(place.name)) begins at byte \(place.offset) of the weights, "
            + "before tensor \(Excerpt.quoted(previous)) ends at \(end)", tensor: place.name)
      }
      end = place.offset + place.byteCount
      previous = place.name
    }
    return places.map { place in
      let start = dataOffset + place.offset
      return GGUFTensor(
        name: place.name, type: place.type, shape: place.shape,
        byteRange: start..<(start + place.byteCount))
    }
  }
}
