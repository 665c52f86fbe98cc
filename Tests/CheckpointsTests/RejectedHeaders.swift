extension HeaderVerdictTests {
  /// Broken files with the reason that the reader has to give.
  static let rejected: [(String, RawSafetensors)] = [
    // The length field
    (
      "headerTruncated",
      .named("length field only") { raw in
        raw.text = []
        raw.data = []
        raw.lengthField = 64
      }
    ),
    (
      "headerNotObject",
      .named("length zero") { raw in
        raw.text = []
        raw.data = []
      }
    ),
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
    (
      "headerNotJSON",
      .named("no UTF-8") { raw in
        raw.text = raw.header.map { $0 == UInt8(ascii: "c") ? 0xFF : $0 }
      }
    ),
    ("badEntry", .b("depth bomb", String(repeating: "[", count: 100_000))),
    (
      "headerNotJSON",
      .with(
        "depth bomb in a field",
        #""x":{"y":\#(String(repeating: "{\"a\":", count: 50_000))"#)
    ),
    // Names
    (
      "duplicateName",
      .with(
        "name twice, same range",
        #""a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}"#)
    ),
    (
      "duplicateName",
      .with(
        "name twice, other type",
        #""a":{"dtype":"U8","shape":[4],"data_offsets":[32,36]}"#, data: 4)
    ),
    (
      "duplicateName",
      .with(
        "name twice, once escaped",
        #""\u0061":{"dtype":"U8","shape":[0],"data_offsets":[32,32]}"#)
    ),
    (
      "duplicateName",
      .named("names equal for Unicode") { raw in
        raw.members += [
          "\"\u{E9}\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[32,32]}",
          "\"e\u{301}\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[32,32]}",
        ]
      }
    ),
    (
      "duplicateName",
      .named("metadata twice") { raw in
        raw.members += [#""__metadata__":{}"#, #""__metadata__":{}"#]
      }
    ),
    ("duplicateName", .with("metadata name twice", #""__metadata__":{"a":"1","a":"2"}"#)),
    (
      "duplicateName",
      .b(
        "field twice",
        #"{"dtype":"F32","shape":[4],"shape":[4],"data_offsets":[12,28]}"#)
    ),
    ("badName", .with("empty name", #""":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#)),
    (
      "badName",
      .with(
        "NUL in a name",
        #""x\u0000y":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#)
    ),
    (
      "badName",
      .with(
        "control character in a name",
        #""x\u001b[2J":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#)
    ),
    (
      "badName",
      .with(
        "name of 513 bytes",
        "\"\(String(repeating: "n", count: 513))\":"
          + #"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#)
    ),
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
    (
      "badNumber",
      .b("shape 2^63", #"{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[12,28]}"#)
    ),
    ("badNumber", .b("negative offset", #"{"dtype":"F32","shape":[4],"data_offsets":[-12,28]}"#)),
    ("badNumber", .b("offset 12.0", #"{"dtype":"F32","shape":[4],"data_offsets":[12.0,28]}"#)),
    (
      "badNumber",
      .b("offset 2^64", #"{"dtype":"F32","shape":[4],"data_offsets":[0,18446744073709551616]}"#)
    ),
    ("badNumber", .b("offsets an object", #"{"dtype":"F32","shape":[4],"data_offsets":{}}"#)),
    ("badOffsets", .b("one offset", #"{"dtype":"F32","shape":[4],"data_offsets":[12]}"#)),
    ("badOffsets", .b("three offsets", #"{"dtype":"F32","shape":[4],"data_offsets":[12,28,28]}"#)),
    ("badOffsets", .b("end before begin", #"{"dtype":"F32","shape":[4],"data_offsets":[28,12]}"#)),
    (
      "rankTooHigh",
      .b("rank 9", #"{"dtype":"F32","shape":[1,1,1,1,1,1,1,2,2],"data_offsets":[12,28]}"#)
    ),
    (
      "rankTooHigh",
      .b(
        "rank 100000",
        #"{"dtype":"F32","shape":["# + String(repeating: "1,", count: 100_000)
          + #"4],"data_offsets":[12,28]}"#
      )
    ),
    // Sizes
    (
      "badShape",
      .b(
        "product overflows to the right size",
        #"{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[12,28]}"#)
    ),
    (
      "badShape",
      .b(
        "bytes overflow to nothing",
        #"{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[12,12]}"#)
    ),
    (
      "badShape",
      .b(
        "largest dimensions",
        #"{"dtype":"F32","shape":[9223372036854775807,2],"data_offsets":[12,28]}"#)
    ),
    ("badShape", .b("four bits, odd", #"{"dtype":"F4","shape":[3],"data_offsets":[12,14]}"#)),
    ("badShape", .b("six bits, odd", #"{"dtype":"F6_E3M2","shape":[3],"data_offsets":[12,15]}"#)),
    ("sizeMismatch", .b("shape too large", #"{"dtype":"F32","shape":[5],"data_offsets":[12,28]}"#)),
    ("sizeMismatch", .b("shape too small", #"{"dtype":"F32","shape":[3],"data_offsets":[12,28]}"#)),
    (
      "sizeMismatch",
      .b(
        "offsets near 2^63",
        #"{"dtype":"F32","shape":[4],"data_offsets":[9223372036854775800,9223372036854775807]}"#)
    ),
    (
      "sizeMismatch", .b("empty with bytes", #"{"dtype":"F32","shape":[0],"data_offsets":[12,28]}"#)
    ),
    // Places
    (
      "hole",
      .named("hole between") { raw in
        raw.members[1] = #""b":{"dtype":"F32","shape":[3],"data_offsets":[16,28]}"#
      }
    ),
    (
      "hole",
      .named("hole at the beginning") { raw in
        raw.members.removeFirst()
      }
    ),
    (
      "hole",
      .with(
        "empty tensor far outside",
        #""e":{"dtype":"U8","shape":[0],"data_offsets":[1000,1000]}"#)
    ),
    (
      "overlap",
      .b(
        "begins inside its neighbour",
        #"{"dtype":"F32","shape":[5],"data_offsets":[8,28]}"#)
    ),
    (
      "overlap",
      .with(
        "two share their bytes",
        #""d":{"dtype":"F32","shape":[4],"data_offsets":[12,28]}"#)
    ),
    (
      "overlap",
      .with(
        "empty tensor inside another",
        #""e":{"dtype":"U8","shape":[0],"data_offsets":[20,20]}"#)
    ),
    (
      "overlap",
      .named("thousand on the same bytes") { raw in
        raw.members = (0..<1000).map {
          "\"t\($0)\":{\"dtype\":\"U8\",\"shape\":[32],\"data_offsets\":[0,32]}"
        }
      }
    ),
    (
      "truncated",
      .with(
        "ends after the data",
        #""e":{"dtype":"U8","shape":[8],"data_offsets":[32,40]}"#, data: 7)
    ),
    ("truncated", .named("last byte missing") { $0.data.removeLast() }),
    ("truncated", .named("no data") { $0.data = [] }),
    ("trailingBytes", .named("bytes after the last tensor") { $0.data += [1] }),
    ("trailingBytes", .named("a zip archive behind") { $0.data += Array("PK\u{3}\u{4}".utf8) }),
    ("trailingBytes", .named("data of nobody") { $0.members = [] }),
  ]
}
