extension GGUFHeaderTests {
  /// Broken files with the reason that the reader has to give, and a word that names the place.
  static let rejected: [(String, RawGGUF, String)] = marks + metadata + tensorEntries

  private static let marks: [(String, RawGGUF, String)] = [
    ("magic", .named("another mark") { $0.magic = Array("GGML".utf8) }, "GGUF"),
    ("magic", .named("lower case") { $0.magic = Array("gguf".utf8) }, "GGUF"),
    ("version", .named("version 0") { $0.version = 0 }, "version 0"),
    ("version", .named("version 1") { $0.version = 1 }, "version 1"),
    ("version", .named("version 4") { $0.version = 4 }, "newer"),
    ("version", .named("version -1") { $0.version = .max }, "newer"),
    ("version", .named("big-endian") { $0.version = 3 << 24 }, "big-endian"),
    ("count", .named("tensors -1") { $0.tensorCount = .max }, "-1 tensors"),
    ("count", .named("tensors 2^63") { $0.tensorCount = 1 << 63 }, "tensors"),
    ("count", .named("tensors 2^32") { $0.tensorCount = 1 << 32 }, "4294967296 tensors"),
    ("count", .named("keys -1") { $0.keyCount = .max }, "-1 keys"),
    ("count", .named("keys 2^40") { $0.keyCount = 1 << 40 }, "keys"),
    ("count", .named("more tensors than bytes") { $0.tensorCount = 500 }, "500 tensors"),
  ]

  private static let metadata: [(String, RawGGUF, String)] = [
    ("key", .with("empty key", RawGGUF.pair("", 0, [1])), "key"),
    ("key", .with("key with a space", RawGGUF.pair("a b", 0, [1])), "a b"),
    ("key", .with("key with a line feed", RawGGUF.pair("a\n", 0, [1])), "key"),
    (
      "duplicateKey", .with("a key twice", RawGGUF.pair("a.count", 0, [1])), "a.count"
    ),
    (
      "stringLength",
      .with("a key of 2^63 bytes", RawGGUF.little(UInt64(1) << 63)), "a key"
    ),
    (
      "stringLength",
      .with("a key of 65536 bytes", RawGGUF.little(UInt64(65_536))), "65536"
    ),
    (
      "truncated", .with("a key beyond the file", RawGGUF.little(UInt64(60_000))), "60000"
    ),
    (
      "stringLength", .with("a text of -1 bytes", RawGGUF.pair("k", 8, RawGGUF.little(UInt64.max))),
      "\"k\""
    ),
    (
      "truncated",
      .with("a text beyond the file", RawGGUF.pair("k", 8, RawGGUF.little(UInt64(1 << 20)))),
      "\"k\""
    ),
    (
      "notText",
      .with("a text of other bytes", RawGGUF.pair("k", 8, RawGGUF.little(UInt64(1)) + [0xff])),
      "\"k\""
    ),
    ("valueType", .with("type 13", RawGGUF.pair("k", 13, [])), "\"k\""),
    ("valueType", .with("type -1", RawGGUF.pair("k", .max, [])), "\"k\""),
    ("bool", .with("neither true nor false", RawGGUF.pair("k", 7, [2])), "\"k\""),
    ("bool", .with("in an array", RawGGUF.array("k", 7, count: 2, [1, 3])), "\"k\""),
    ("valueType", .with("array of type 77", RawGGUF.array("k", 77, count: 1, [])), "\"k\""),
    ("nestedArray", .with("array of arrays", RawGGUF.array("k", 9, count: 1, [])), "\"k\""),
    ("count", .with("array of -1", RawGGUF.array("k", 0, count: .max, [])), "\"k\""),
    ("count", .with("array of 2^61 texts", RawGGUF.array("k", 8, count: 1 << 61, [])), "\"k\""),
    ("count", .with("array of 2^33", RawGGUF.array("k", 10, count: 1 << 33, [])), "\"k\""),
    ("count", .with("array beyond the file", RawGGUF.array("k", 0, count: 5000, [])), "\"k\""),
    alignment(0), alignment(13), alignment(1 << 31), alignment(131_072),
    (
      "alignment",
      .with("alignment as a text", RawGGUF.pair("general.alignment", 8, RawGGUF.string("32"))),
      "a string"
    ),
  ]

  private static func alignment(_ number: UInt32) -> (String, RawGGUF, String) {
    (
      "alignment",
      .with(
        "alignment \(number)", RawGGUF.pair("general.alignment", 4, RawGGUF.little(number))),
      "general.alignment is \(number)"
    )
  }

  private static let tensorEntries: [(String, RawGGUF, String)] = [
    ("tensorName", .named("no name") { $0.tensors[0].name = "" }, "name"),
    ("tensorName", .named("a line feed") { $0.tensors[0].name = "a\n" }, "control"),
    (
      "stringLength",
      .named("name of 65") { $0.tensors[0].name = String(repeating: "n", count: 65) },
      "65"
    ),
    ("duplicateTensor", .named("a name twice") { $0.tensors[1].name = "a" }, "\"a\""),
    ("rank", .named("no dimension") { $0.tensors[0].dimensions = [] }, "\"a\""),
    ("rank", .named("five") { $0.tensors[0].dimensions = [1, 1, 1, 1, 1] }, "\"a\""),
    ("rank", .named("-1") { $0.tensors[0].rank = .max }, "\"a\""),
    ("dimension", .named("dimension 0") { $0.tensors[1].dimensions = [64, 0] }, "\"b\""),
    ("dimension", .named("dimension -1") { $0.tensors[1].dimensions = [64, .max] }, "\"b\""),
    (
      "size", .named("2^120 elements") { $0.tensors[0].dimensions = [1 << 40, 1 << 40, 1 << 40] },
      "\"a\""
    ),
    (
      "size", .named("2^64 bytes") { $0.tensors[0].dimensions = [1 << 31, 1 << 31] }, "\"a\""
    ),
    ("blocks", .named("half a block") { $0.tensors[1].dimensions = [48, 2] }, "q8_0"),
    ("removedType", .named("q4_2") { $0.tensors[1].type = 4 }, "q4_2"),
    ("removedType", .named("q4_0_8_8") { $0.tensors[1].type = 33 }, "q4_0_8_8"),
    ("tensorType", .named("type 99") { $0.tensors[1].type = 99 }, "99"),
    ("tensorType", .named("type -1") { $0.tensors[1].type = .max }, "4294967295"),
    ("offset", .named("offset between") { $0.tensors[1].offset = 130 }, "130"),
    ("offset", .named("offset -32") { $0.tensors[1].offset = 0 &- 32 }, "\"b\""),
    ("offset", .named("offset 2^62") { $0.tensors[1].offset = 1 << 62 }, "\"b\""),
    ("truncated", .named("beyond the file") { $0.tensors[1].offset = 256 }, "\"b\""),
    ("truncated", .named("no data") { $0.dataByteCount = 0 }, "\"a\""),
    ("truncated", .named("a byte short") { $0.dataByteCount -= 1 }, "\"b\""),
    ("overlap", .named("at one place") { $0.tensors[1].offset = 0 }, "before tensor"),
    ("overlap", .named("over the other") { $0.tensors[1].offset = 96 }, "\"b\""),
  ]
}
