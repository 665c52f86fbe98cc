import StrictJSON
import TestSupport
import Testing

@Suite struct JSONParsingTests {
  @Test(
    arguments: [
      ("null", JSONValue.null), (" true\n", true), ("false", false), ("0", 0), ("-7", -7),
      ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
      ("9223372036854775808", .double(9_223_372_036_854_775_808)), ("-0", .double(-0.0)),
      ("1.0", 1.0), ("1e3", 1000.0), ("2.5E-1", 0.25), ("1e+2", 100.0), ("\"\"", ""),
      ("\"a b\"", "a b"), ("[]", []), ("[1, 2,3]", [1, 2, 3]), ("{}", [:]),
      ("{\"a\":{\"b\":[null]}}", ["a": ["b": [nil]]]), ("\t\r\n [ ] ", []),
    ] as [(String, JSONValue)])
  func acceptsWhatTheStandardAllows(text: String, expected: JSONValue) throws {
    #expect(try JSONParsing().parse(text) == expected)
  }

  @Test(arguments: [
    ("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\u{8}\u{C}\n\r\t"), ("\"\\u0041\"", "A"),
    ("\"\\u00e9\\u00E9\"", "éé"), ("\"\\ud83d\\ude00\"", "😀"), ("\"\\u0000\"", "\0"),
    ("\"\\uffff\"", "\u{FFFF}"), ("\"é😀\"", "é😀"), ("\"\u{7F}\"", "\u{7F}"),
  ])
  func resolvesEscapes(text: String, expected: String) throws {
    #expect(try JSONParsing().parse(text).string.map { Array($0.utf8) } == Array(expected.utf8))
  }

  @Test(arguments: [
    "", " ", "nul", "nulL", "tru", "True", "NaN", "Infinity", "-", "+1", "01", "-01", "1.", ".5",
    "1e", "1e+", "0x10", "1 2", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", "}", "{\"a\"",
    "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\" 1}", "{1:2}",
    "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"\\ud800\"",
    "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800x\"", "\"a\nb\"", "\"\u{1}\"", "1e400",
    "-1e400", "{\"a\":1,\"a\":1}", "{\"a\":1,\"\\u0061\":2}", "[1]x", "null null", "// 1", "[1]\0",
  ])
  func refusesWhatTheStandardForbids(text: String) {
    #expect(throws: JSONError.self) { try JSONParsing().parse(text) }
  }

  @Test(
    arguments: [
      [0xEF, 0xBB, 0xBF, 0x31], [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22],
      [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22], [0x22, 0xC3, 0x22],
      [0x22, 0x5C, 0x6E, 0xFF, 0x22], [0x31, 0xA0],
    ] as [[UInt8]])
  func refusesBytesThatAreNoText(bytes: [UInt8]) {
    #expect(throws: JSONError.self) { try JSONParsing().parse(bytes) }
  }

  @Test func namesThePlaceOfTheFault() {
    #expect(throws: JSONError(offset: 8, message: "the name \"a\" stands twice in one object")) {
      try JSONParsing().parse("{\"a\":1, \"a\":2}")
    }
    #expect(throws: JSONError(offset: 4, message: "expected a JSON value")) {
      try JSONParsing().parse("[1, x]")
    }
    #expect(throws: JSONError(offset: 5, message: "a string is not valid UTF-8")) {
      try JSONParsing().parse(Array("[1, ".utf8) + [0x20, 0x22, 0xFE, 0x22, 0x5D])
    }
  }

  @Test func refusesADepthBomb() throws {
    let sound = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
    #expect(throws: Never.self) { try JSONParsing().parse(sound) }
    let bomb = String(repeating: "[", count: 1_000_000)
    #expect(throws: JSONError(offset: 64, message: "nested deeper than 64 levels")) {
      try JSONParsing().parse(bomb)
    }
    let mixed = String(repeating: "{\"a\":[", count: 40)
    #expect(throws: JSONError.self) { try JSONParsing().parse(mixed) }
    var reader = JSONReader(Array(bomb.utf8), maximumDepth: 10)
    #expect(throws: JSONError(offset: 10, message: "nested deeper than 10 levels")) {
      try reader.skipValue()
    }
  }

  @Test func keepsNamesApartThatUnicodeCallsEqual() throws {
    let object = try #require(
      try JSONParsing().parse("{\"\u{E9}\":1,\"e\\u0301\":2,\"\u{212B}\":3,\"\u{C5}\":4}").object)
    #expect(object.count == 4)
    #expect(object["\u{E9}"] == 1)
    #expect(object["e\u{301}"] == 2)
    #expect(object["\u{212B}"] == 3)
    #expect(JSONValue.string("\u{E9}") != .string("e\u{301}"))
  }

  /// Random changes of a sound text give a value or an error, never a crash, and whatever is
  /// accepted reads back the same from each style.
  @Test func mutatedTextsNeverCrash() throws {
    let seed: UInt64 = 20_261
    var random = SeededGenerator(seed: seed)
    let sound = Array(
      "{\"name\":\"caf\\u00e9 \\ud83d\\ude00\",\"list\":[1,-2.5e3,true,null,{\"x\":[]}],\"n\":12}"
        .utf8)
    let spice = Array("\"\\{}[],:0-eE.+u \n\u{0}tfn".utf8) + [0x80, 0xC3, 0xFF]
    var accepted = 0
    for _ in 0..<20_000 {
      var bytes = sound
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let position = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes.remove(at: position)
        case 1: bytes.insert(spice.randomElement(using: &random) ?? 0, at: position)
        case 2: bytes[position] = spice.randomElement(using: &random) ?? 0
        default: bytes.removeSubrange(position...)
        }
        if bytes.isEmpty { bytes = [0x20] }
      }
      guard let value = try? JSONParsing().parse(bytes) else { continue }
      accepted += 1
      for style in [JSONStyle.canonical, .pretty, .compact] {
        #expect(try JSONParsing().parse(value.serialized(style)) == value, "seed \(seed)")
      }
    }
    #expect(accepted > 100)
  }
}
