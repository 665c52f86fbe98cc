import StrictJSON
import TensorCore

/// Turns the JSON of a safetensors header into tensors, without a tree of values in between.
struct HeaderParser {
  /// What the header says of one tensor; offsets count from the beginning of the data.
  struct Tensor {
    let name: String
    let dataType: DataType
    let shape: [Int]
    let begin: Int
    let end: Int
  }

  private(set) var tensors: [Tensor] = []
  private(set) var metadata: [(String, String)] = []
  private var reader: JSONReader
  private let path: String
  /// Name to the byte in the file where it stands, so that both of a pair can be reported.
  private var offsets: [String: Int] = [:]

  init(_ bytes: [UInt8], path: String) {
    reader = JSONReader(bytes, maximumDepth: 32)
    self.path = path
  }

  private var filePosition: Int { 8 + reader.nameOffset }

  private func fault(_ reason: String, _ message: String, tensor: String? = nil) -> CheckpointFault
  {
    CheckpointFault(
      reason,
      "in the header of \(path) \(message); download the file again, or write it with a sound tool",
      file: path, tensor: tensor)
  }

  mutating func parse() throws {
    guard try reader.nextKind() == .object else {
      throw fault(
        "headerNotObject", "stands no JSON object")
    }
    try reader.beginObject()
    while let name = try reader.nextName() {
      let position = filePosition
      if let earlier = offsets.updateValue(position, forKey: name) {
        throw fault(
          "duplicateName",
          "the name \(Excerpt.quoted(name)) stands twice, at bytes \(earlier) and \(position)",
          tensor: name)
      }
      if name == "__metadata__" {
        try parseMetadata()
      } else {
        try check(name: name, at: position)
        tensors.append(try parseTensor(name))
      }
    }
    try reader.finish()
  }

  private func check(name: String, at position: Int) throws {
    let problem: String? =
      if name.isEmpty {
        "is empty"
      } else if name.utf8.count > SafetensorsHeader.maximumNameLength {
        "has \(name.utf8.count) bytes, more than \(SafetensorsHeader.maximumNameLength)"
      } else if name.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) {
        "holds a control character"
      } else {
        nil
      }
    if let problem {
      throw fault(
        "badName",
        "the tensor name \(Excerpt.quoted(name)) at byte \(position) \(problem)", tensor: name)
    }
    guard tensors.count < SafetensorsHeader.maximumTensorCount else {
      throw fault(
        "tooManyTensors",
        "stand more than \(SafetensorsHeader.maximumTensorCount) tensors")
    }
  }

  private mutating func parseMetadata() throws {
    if try reader.nextKind() == .null { return try reader.readNull() }
    guard try reader.nextKind() == .object else {
      throw fault("badMetadata", "__metadata__ is not an object")
    }
    try reader.beginObject()
    var names: Set<String> = []
    while let name = try reader.nextName() {
      guard names.insert(name).inserted else {
        throw fault(
          "duplicateName",
          "the metadata name \(Excerpt.quoted(name)) stands twice")
      }
      guard try reader.nextKind() == .string else {
        throw fault(
          "badMetadata", "the metadata \(Excerpt.quoted(name)) are no text")
      }
      metadata.append((name, try reader.readString()))
    }
  }

  private mutating func parseTensor(_ name: String) throws -> Tensor {
    guard try reader.nextKind() == .object else {
      throw fault("badEntry", "tensor \(Excerpt.quoted(name)) is no object", tensor: name)
    }
    var dataType: DataType?
    var shape: [Int]?
    var offsets: [Int]?
    try reader.beginObject()
    while let field = try reader.nextName() {
      let isRepeated =
        switch field {
        case "dtype": dataType != nil
        case "shape": shape != nil
        case "data_offsets": offsets != nil
        default: false
        }
      guard !isRepeated else {
        throw fault(
          "duplicateName",
          "tensor \(Excerpt.quoted(name)) has \(Excerpt.quoted(field)) twice, again at byte "
            + "\(filePosition)", tensor: name)
      }
      switch field {
      case "dtype": dataType = try parseDataType(name)
      case "shape":
        shape = try parseNumbers(name, field, limit: SafetensorsHeader.maximumRank)
      case "data_offsets": offsets = try parseNumbers(name, field, limit: 2)
      default: try reader.skipValue()
      }
    }
    guard let dataType, let shape, let offsets else {
      let missing = dataType == nil ? "dtype" : shape == nil ? "shape" : "data_offsets"
      throw fault(
        "missingField",
        "tensor \(Excerpt.quoted(name)) has no \(missing)", tensor: name)
    }
    return try checked(name, dataType, shape, offsets)
  }

  private func checked(
    _ name: String, _ dataType: DataType, _ shape: [Int], _ offsets: [Int]
  ) throws -> Tensor {
    guard offsets.count == 2, offsets[0] <= offsets[1] else {
      throw fault(
        "badOffsets",
        "tensor \(Excerpt.quoted(name)) has the data_offsets \(offsets); expected a begin and "
          + "an end that is not before it", tensor: name)
    }
    guard let needed = TensorEntry.byteCount(of: dataType, shape: shape) else {
      throw fault(
        "badShape",
        "tensor \(Excerpt.quoted(name)) has the shape \(shape) of \(dataType.rawValue), which "
          + "overflows or is no whole number of bytes", tensor: name)
    }
    guard needed == offsets[1] - offsets[0] else {
      throw fault(
        "sizeMismatch",
        "tensor \(Excerpt.quoted(name)) has \(offsets[1] - offsets[0]) bytes, but its shape "
          + "\(shape) of \(dataType.rawValue) needs \(needed)",
        tensor: name)
    }
    return Tensor(
      name: name, dataType: dataType, shape: shape, begin: offsets[0], end: offsets[1])
  }

  private mutating func parseDataType(_ name: String) throws -> DataType {
    guard try reader.nextKind() == .string else {
      throw fault("badDataType", "the dtype of \(Excerpt.quoted(name)) is no text", tensor: name)
    }
    let text = try reader.readString()
    guard let dataType = DataType(rawValue: text) else {
      throw fault(
        "badDataType",
        "tensor \(Excerpt.quoted(name)) has the dtype \(Excerpt.quoted(text)), which the format "
          + "does not have; expected one such as F16, BF16 or F32", tensor: name)
    }
    return dataType
  }

  /// An array of at most `limit` integers, none negative.
  private mutating func parseNumbers(_ name: String, _ field: String, limit: Int) throws -> [Int] {
    guard try reader.nextKind() == .array else {
      throw fault("badNumber", "\(field) of \(Excerpt.quoted(name)) is no array", tensor: name)
    }
    var numbers: [Int] = []
    try reader.beginArray()
    while try reader.nextElement() {
      guard numbers.count < limit else {
        throw fault(
          field == "shape" ? "rankTooHigh" : "badOffsets",
          "\(field) of \(Excerpt.quoted(name)) has more than \(limit) numbers", tensor: name)
      }
      guard try reader.nextKind() == .number, case .integer(let number) = try reader.readNumber(),
        number >= 0, let value = Int(exactly: number)
      else {
        throw fault(
          "badNumber",
          "\(field) of \(Excerpt.quoted(name)) holds something else than whole numbers from 0 on",
          tensor: name)
      }
      numbers.append(value)
    }
    return numbers
  }
}
