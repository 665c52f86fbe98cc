/// Reads the fields of a protocol buffer message, trusting no length.
///
/// Source: protobuf.dev, "Encoding".
struct ProtobufReader {
  enum Value {
    case varint(UInt64)
    case fixed64(UInt64)
    case fixed32(UInt32)
    /// The range of the bytes in the file.
    case bytes(Range<Int>)
  }

  private let file: String
  private let bytes: [UInt8]
  private var offset: Int
  private let end: Int

  init(_ bytes: [UInt8], _ range: Range<Int>, file: String) {
    self.bytes = bytes
    self.file = file
    offset = range.lowerBound
    end = range.upperBound
  }

  private func fault(_ what: String) -> TokenizationFault {
    .malformed(file, "\(what) at byte \(offset)")
  }

  /// The next field; nil at the end.
  mutating func next() throws(TokenizationFault) -> (number: Int, value: Value)? {
    guard offset < end else { return nil }
    let key = try varint()
    let number = Int(truncatingIfNeeded: key >> 3)
    guard key >> 3 > 0, key >> 3 < 1 << 29 else { throw fault("a field number out of range") }
    switch key & 7 {
    case 0: return (number, .varint(try varint()))
    case 1: return (number, .fixed64(try fixed(8)))
    case 2:
      let length = try varint()
      guard length <= UInt64(end - offset) else {
        throw fault("a field of \(length) bytes where \(end - offset) are left")
      }
      let range = offset..<(offset + Int(length))
      offset = range.upperBound
      return (number, .bytes(range))
    case 5: return (number, .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
    default: throw fault("a field of the wire type \(key & 7), which is none")
    }
  }

  private mutating func varint() throws(TokenizationFault) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<10 {
      guard offset < end else { throw fault("the file ends within a number") }
      let byte = bytes[offset]
      guard index < 9 || byte <= 1 else { break }
      offset += 1
      value |= UInt64(byte & 0x7F) << UInt64(7 * index)
      if byte < 0x80 { return value }
    }
    throw fault("a number of more than 64 bits")
  }

  private mutating func fixed(_ count: Int) throws(TokenizationFault) -> UInt64 {
    guard end - offset >= count else { throw fault("the file ends within a number") }
    var value: UInt64 = 0
    for index in 0..<count { value |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
    offset += count
    return value
  }
}
