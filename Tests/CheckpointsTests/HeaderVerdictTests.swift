import Checkpoints
import TensorCore
import TestSupport
import Testing

/// Sound and broken safetensors headers, each named after what is odd about it.
@Suite struct HeaderVerdictTests {
  @Test(arguments: [
    RawSafetensors(),
    .named("no tensor at all") { raw in
      raw.members = []
      raw.data = []
    },
    .named("only metadata") { raw in
      raw.members = [#""__metadata__":{"format":"pt","":""}"#]
      raw.data = []
    },
    .named("metadata null") { $0.members.insert(#""__metadata__":null"#, at: 0) },
    .with("empty tensor at the end", #""e":{"dtype":"F32","shape":[0,4],"data_offsets":[32,32]}"#),
    .with("empty tensor in between", #""e":{"dtype":"F32","shape":[0],"data_offsets":[12,12]}"#),
    .with("scalar", #""s":{"dtype":"F64","shape":[],"data_offsets":[32,40]}"#, data: 8),
    .with(
      "rank 8", #""r":{"dtype":"U8","shape":[1,1,1,1,1,1,1,2],"data_offsets":[32,34]}"#, data: 2),
    .with("four bits, even", #""f":{"dtype":"F4","shape":[3,2],"data_offsets":[32,35]}"#, data: 3),
    .with("six bits, whole", #""f":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[32,35]}"#, data: 3),
    .with("scale bytes", #""f":{"dtype":"F8_E8M0","shape":[4],"data_offsets":[32,36]}"#, data: 4),
    .with("a field the format does not have",
      #""x":{"dtype":"U8","shape":[0],"data_offsets":[32,32],"more":{"a":[1,null]}}"#),
    .named("members in another order") { $0.members.reverse() },
    .named("padded with spaces") { $0.text = $0.header + [UInt8](repeating: 0x20, count: 1000) },
    .named("line feeds around") { $0.text = Array("\n\t ".utf8) + $0.header + Array("\r\n".utf8) },
    .named("escaped name") { $0.members[0] = $0.members[0].replacing("\"a\"", with: #""\u0061""#) },
    .with("name of 512 bytes",
      "\"\(String(repeating: "n", count: 512))\":"
        + #"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#),
  ])
  func accepts(file: RawSafetensors) throws {
    #expect(throws: Never.self) { try file.open() }
  }

  static let rejected: [(String, RawSafetensors)] = [
    // The length field
    ("headerTruncated", .named("length field only") { raw in
      raw.text = []
      raw.data = []
      raw.lengthField = 64
    }),
    ("headerNotObject", .named("length zero") { raw in
      raw.text = []
      raw.data = []
    }),
    ("headerTruncated", .named("header beyond the file") { $0.lengthField = 100_000 }),
    ("headerTruncated", .named("limit without bytes") { $0.lengthField = 100_000_000 }),
    ("headerTooLarge", .named("over the limit") { $0.lengthField = 100_000_001 }),
    ("headerTooLarge", .named("length 2^63") { $0.lengthField = 1 << 63 }),
    ("headerTooLarge", .named("length 2^64-1") { $0.lengthField = .max }),
    ("headerNotJSON", .named("length too short") { $0.lengthError = -1 }),
    ("headerNotJSON", .named("length too long") { $0.lengthError = 1 }),
    // The text
    ("headerNotObject", .named("text") { $0.text = Array("tensors follow".utf8) }),
    ("headerNotObject", .named("array") { $0.text = Array("[]".utf8) }),
    ("headerNotObject", .named("null") { $0.text = Array("null".utf8) }),
    ("headerNotObject", .named("only spaces") { $0.text = Array("    ".utf8) }),
    ("headerNotObject", .named("byte order mark") { $0.text = [0xEF, 0xBB, 0xBF] + $0.header }),
    ("headerNotJSON", .named("cut") { $0.text = $0.header.dropLast(10) }),
    ("headerNotJSON", .named("second value") { $0.text = $0.header + Array("{}".utf8) }),
    ("headerNotJSON", .named("padded with NUL") { $0.text = $0.header + [0, 0] }),
    ("headerNotJSON", .named("comma at the end") { $0.members.append("") }),
    ("headerNotJSON", .named("no UTF-8") { raw in
      raw.text = raw.header.map { $0 == UInt8(ascii: "c") ? 0xFF : $0 }
    }),
    ("badEntry", .b("depth bomb", String(repeating: "[", count: 100_000))),
    ("headerNotJSON", .with("depth bomb in a field",
      #""x":{"y":\#(String(repeating: "{\"a\":", count: 50_000))"#)),
    // Names
    ("duplicateName", .with("name twice, same range",
      #""a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}"#)),
    ("duplicateName", .with("name twice, other type",
      #""a":{"dtype":"U8","shape":[4],"data_offsets":[32,36]}"#, data: 4)),
    ("duplicateName", .with("name twice, once escaped",
      #""\u0061":{"dtype":"U8","shape":[0],"data_offsets":[32,32]}"#)),
    ("duplicateName", .named("names equal for Unicode") { raw in
      raw.members += [
        "\"\u{E9}\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[32,32]}",
        "\"e\u{301}\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[32,32]}",
      ]
    }),
    ("duplicateName", .named("metadata twice") { raw in
      raw.members += [#""__metadata__":{}"#, #""__metadata__":{}"#]
    }),
    ("duplicateName", .with("metadata name twice", #""__metadata__":{"a":"1","a":"2"}"#)),
    ("duplicateName", .b("field twice",
      #"{"dtype":"F32","shape":[4],"shape":[4],"data_offsets":[12,28]}"#)),
    ("badName", .with("empty name", #""":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#)),
    ("badName", .with("NUL in a name",
      #""x\u0000y":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#)),
    ("badName", .with("control character in a name",
      #""x\u001b[2J":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#)),
    ("badName", .with("name of 513 bytes",
      "\"\(String(repeating: "n", count: 513))\":"
        + #"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#)),
    // Metadata
    ("badMetadata", .with("metadata a number", #""__metadata__":3"#)),
    ("badMetadata", .with("metadata an array", #""__metadata__":[]"#)),
    ("badMetadata", .with("metadata hold a number", #""__metadata__":{"n":3}"#)),
    ("badMetadata", .with("metadata hold an object", #""__metadata__":{"n":{}}"#)),
    // Fields
    ("badEntry", .b("a number for a tensor", "3")),
    ("badEntry", .b("an array for a tensor", "[]")),
    ("missingField", .b("no dtype", #"{"shape":[4],"data_offsets":[12,28]}"#)),
    ("missingField", .b("no shape", #"{"dtype":"F32","data_offsets":[12,28]}"#)),
    ("missingField", .b("no offsets", #"{"dtype":"F32","shape":[4]}"#)),
    ("missingField", .b("an empty object", "{}")),
    ("badDataType", .b("unknown dtype", #"{"dtype":"F12","shape":[4],"data_offsets":[12,28]}"#)),
    ("badDataType", .b("dtype lower case", #"{"dtype":"f32","shape":[4],"data_offsets":[12,28]}"#)),
    ("badDataType", .b("empty dtype", #"{"dtype":"","shape":[4],"data_offsets":[12,28]}"#)),
    ("badDataType", .b("dtype a number", #"{"dtype":32,"shape":[4],"data_offsets":[12,28]}"#)),
    ("badNumber", .b("shape null", #"{"dtype":"F32","shape":null,"data_offsets":[12,28]}"#)),
    ("badNumber", .b("shape a number", #"{"dtype":"F32","shape":4,"data_offsets":[12,28]}"#)),
    ("badNumber", .b("shape 4.0", #"{"dtype":"F32","shape":[4.0],"data_offsets":[12,28]}"#)),
    ("badNumber", .b("shape 4e0", #"{"dtype":"F32","shape":[4e0],"data_offsets":[12,28]}"#)),
    ("badNumber", .b("shape text", #"{"dtype":"F32","shape":["4"],"data_offsets":[12,28]}"#)),
    ("badNumber", .b("shape -2 x -2", #"{"dtype":"F32","shape":[-2,-2],"data_offsets":[12,28]}"#)),
    ("badNumber", .b("shape -0", #"{"dtype":"F32","shape":[-0,4],"data_offsets":[12,28]}"#)),
    ("badNumber", .b("shape 2^63", #"{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[12,28]}"#)),
    ("badNumber", .b("negative offset", #"{"dtype":"F32","shape":[4],"data_offsets":[-12,28]}"#)),
    ("badNumber", .b("offset 12.0", #"{"dtype":"F32","shape":[4],"data_offsets":[12.0,28]}"#)),
    ("badNumber", .b("offset 2^64", #"{"dtype":"F32","shape":[4],"data_offsets":[0,18446744073709551616]}"#)),
    ("badNumber", .b("offsets an object", #"{"dtype":"F32","shape":[4],"data_offsets":{}}"#)),
    ("badOffsets", .b("one offset", #"{"dtype":"F32","shape":[4],"data_offsets":[12]}"#)),
    ("badOffsets", .b("three offsets", #"{"dtype":"F32","shape":[4],"data_offsets":[12,28,28]}"#)),
    ("badOffsets", .b("end before begin", #"{"dtype":"F32","shape":[4],"data_offsets":[28,12]}"#)),
    ("rankTooHigh", .b("rank 9", #"{"dtype":"F32","shape":[1,1,1,1,1,1,1,2,2],"data_offsets":[12,28]}"#)),
    ("rankTooHigh", .b("rank 100000",
      #"{"dtype":"F32","shape":[\#(String(repeating: "1,", count: 100_000))4],"data_offsets":[12,28]}"#)),
    // Sizes
    ("badShape", .b("product overflows to the right size",
      #"{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[12,28]}"#)),
    ("badShape", .b("bytes overflow to nothing",
      #"{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[12,12]}"#)),
    ("badShape", .b("largest dimensions",
      #"{"dtype":"F32","shape":[9223372036854775807,2],"data_offsets":[12,28]}"#)),
    ("badShape", .b("four bits, odd", #"{"dtype":"F4","shape":[3],"data_offsets":[12,14]}"#)),
    ("badShape", .b("six bits, odd", #"{"dtype":"F6_E3M2","shape":[3],"data_offsets":[12,15]}"#)),
    ("sizeMismatch", .b("shape too large", #"{"dtype":"F32","shape":[5],"data_offsets":[12,28]}"#)),
    ("sizeMismatch", .b("shape too small", #"{"dtype":"F32","shape":[3],"data_offsets":[12,28]}"#)),
    ("sizeMismatch", .b("offsets near 2^63",
      #"{"dtype":"F32","shape":[4],"data_offsets":[9223372036854775800,9223372036854775807]}"#)),
    ("sizeMismatch", .b("empty with bytes", #"{"dtype":"F32","shape":[0],"data_offsets":[12,28]}"#)),
    // Places
    ("hole", .named("hole between") { raw in
      raw.members[1] = #""b":{"dtype":"F32","shape":[3],"data_offsets":[16,28]}"#
    }),
    ("hole", .named("hole at the beginning") { raw in
      raw.members.removeFirst()
    }),
    ("hole", .with("empty tensor far outside",
      #""e":{"dtype":"U8","shape":[0],"data_offsets":[1000,1000]}"#)),
    ("overlap", .b("begins inside its neighbour",
      #"{"dtype":"F32","shape":[5],"data_offsets":[8,28]}"#)),
    ("overlap", .with("two share their bytes",
      #""d":{"dtype":"F32","shape":[4],"data_offsets":[12,28]}"#)),
    ("overlap", .with("empty tensor inside another",
      #""e":{"dtype":"U8","shape":[0],"data_offsets":[20,20]}"#)),
    ("overlap", .named("thousand on the same bytes") { raw in
      raw.members = (0..<1000).map {
        "\"t\($0)\":{\"dtype\":\"U8\",\"shape\":[32],\"data_offsets\":[0,32]}"
      }
    }),
    ("truncated", .with("ends after the data",
      #""e":{"dtype":"U8","shape":[8],"data_offsets":[32,40]}"#, data: 7)),
    ("truncated", .named("last byte missing") { $0.data.removeLast() }),
    ("truncated", .named("no data") { $0.data = [] }),
    ("trailingBytes", .named("bytes after the last tensor") { $0.data += [1] }),
    ("trailingBytes", .named("a zip archive behind") { $0.data += Array("PK\u{3}\u{4}".utf8) }),
    ("trailingBytes", .named("data of nobody") { $0.members = [] }),
  ]

  @Test(arguments: rejected)
  func refuses(reason: String, file: RawSafetensors) throws {
    let directory = try TemporaryDirectory()
    let path = directory.appending("model.safetensors")
    try file.bytes.write(to: path)
    let fault = try #require(throws: CheckpointFault.self) { try SafetensorsFile(path: path) }
    #expect(fault.code == "checkpoint.\(reason)", "\(fault.message)")
    #expect(fault.exitStatus == .badData)
    #expect(fault.message.contains(path))
    #expect(fault.context["file"] == path)
    #expect(!fault.message.contains("\n") && fault.message.utf8.count < 1000, "\(fault.message)")
  }

  @Test(arguments: 0..<8)
  func refusesFilesShorterThanTheLengthField(count: Int) throws {
    let directory = try TemporaryDirectory()
    let path = directory.appending("short.safetensors")
    try RawSafetensors().bytes.prefix(count).map { $0 }.write(to: path)
    let fault = try #require(throws: CheckpointFault.self) { try SafetensorsFile(path: path) }
    #expect(fault.code == "checkpoint.tooShort")
  }

  @Test func namesTheTensorAndBothPlacesOfADuplicate() throws {
    let file = RawSafetensors.with(
      "", #""a":{"dtype":"U8","shape":[0],"data_offsets":[32,32]}"#)
    let fault = try #require(throws: CheckpointFault.self) { try file.open() }
    #expect(fault.context["tensor"] == "a")
    #expect(fault.message.contains("\"a\" stands twice, at bytes 9 and 176"), "\(fault.message)")
  }

  @Test func givesEntriesInTheOrderOfTheirData() throws {
    var raw = RawSafetensors()
    raw.members.reverse()
    raw.members.append(#""__metadata__":{"format":"pt"}"#)
    let file = try raw.open()
    #expect(file.entries.map(\.name) == ["a", "b", "c"])
    #expect(file.entries.map(\.dataType) == [.f16, .f32, .bf16])
    #expect(file.entries.map(\.shape) == [[2, 3], [4], [2]])
    #expect(file.entries.map(\.elementCount) == [6, 4, 2])
    let begin = 8 + raw.header.count
    #expect(file.entries.map(\.byteRange) == [
      begin..<begin + 12, begin + 12..<begin + 28, begin + 28..<begin + 32,
    ])
    #expect(file.metadata.map(\.0) == ["format"])
    #expect(file["b"]?.byteCount == 16)
    #expect(file["z"] == nil)
  }

  @Test func refusesMoreTensorsThanTheLimit() throws {
    var text = "{"
    for index in 0...SafetensorsHeader.maximumTensorCount {
      text += "\"\(index)\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
    }
    text.removeLast()
    var raw = RawSafetensors()
    raw.text = Array(text.utf8) + Array("}".utf8)
    raw.data = []
    let fault = try #require(throws: CheckpointFault.self) { try raw.open() }
    #expect(fault.code == "checkpoint.tooManyTensors")
  }
}
