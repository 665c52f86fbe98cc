import StrictJSON
import TestSupport
import Testing

@Suite struct JSONWritingTests {
  let value: JSONValue = [
    "b": [1, 2.5, "x"], "a": ["nested": [["deep": nil]], "empty": [], "none": [:]], "é": true,
  ]

  @Test func canonicalSortsNamesByBytesAndLeavesNoSpace() {
    #expect(
      value.serialized(.canonical)
        == #"{"a":{"empty":[],"nested":[{"deep":null}],"none":{}},"b":[1,2.5,"x"],"é":true}"#)
    let capitals: JSONValue = ["a": 1, "B": 2, "aa": 3, "\u{10000}": 4, "\u{FFFF}": 5]
    #expect(
      capitals.serialized(.canonical) == "{\"B\":2,\"a\":1,\"aa\":3,\"\u{FFFF}\":5,\"\u{10000}\":4}"
    )
  }

  @Test func prettyIndentsByTwoAndEndsTheLine() {
    #expect(
      value.serialized(.pretty) == """
        {
          "b": [1, 2.5, "x"],
          "a": {
            "nested": [
              {
                "deep": null
              }
            ],
            "empty": [],
            "none": {}
          },
          "é": true
        }

        """)
  }

  @Test func compactKeepsTheOrderOnOneLine() {
    #expect(
      value.serialized(.compact)
        == #"{"b":[1,2.5,"x"],"a":{"nested":[{"deep":null}],"empty":[],"none":{}},"é":true}"#)
  }

  @Test func escapesWhatHasToBeEscaped() {
    let text: JSONValue = "\"\\/\n\r\t\u{0}\u{1F}\u{7F}é😀\u{2028}"
    #expect(text.serialized(.compact) == "\"\\\"\\\\/\\n\\r\\t\\u0000\\u001f\\u007fé😀\u{2028}\"")
  }

  @Test(arguments: [
    0.1, -0.0, 1e16, 1e-300, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 123_456_789.25,
    1 / 3,
  ])
  func doublesReadBackTheSame(number: Double) throws {
    let read = try JSONParsing().parse(JSONValue.double(number).serialized(.compact))
    #expect(read.double?.bitPattern == number.bitPattern)
    guard case .double = read else { return #expect(Bool(false), "\(read) is no double") }
  }

  @Test func whatJSONLacksBecomesNull() {
    #expect(
      JSONValue.array([.double(.nan), .double(.infinity)]).serialized(.compact) == "[null,null]")
  }

  @Test func randomValuesReadBackTheSame() throws {
    var random = SeededGenerator(seed: 5)
    for _ in 0..<500 {
      let value = randomValue(depth: 0, &random)
      for style in [JSONStyle.canonical, .pretty, .compact] {
        #expect(try JSONParsing().parse(value.serialized(style)) == value)
      }
      let again = try JSONParsing().parse(value.serialized(.pretty)).serialized(.canonical)
      #expect(again == value.serialized(.canonical))
    }
  }

  private func randomValue(depth: Int, _ random: inout SeededGenerator) -> JSONValue {
    let count = Int.random(in: 0..<12, using: &random)
    switch Int.random(in: 0..<(depth < 4 ? 8 : 6), using: &random) {
    case 0: return nil
    case 1: return .bool(.random(using: &random))
    case 2: return .integer(Int64(bitPattern: random.next()))
    case 3:
      let number = Double(bitPattern: random.next())
      return number.isFinite ? .double(number) : 0.5
    case 4, 5: return .string(randomText(count, &random))
    case 6: return .array((0..<count).map { _ in randomValue(depth: depth + 1, &random) })
    default:
      var object = JSONObject()
      for index in 0..<count {
        object["\(index)" + randomText(3, &random)] = randomValue(depth: depth + 1, &random)
      }
      return .object(object)
    }
  }

  private func randomText(_ count: Int, _ random: inout SeededGenerator) -> String {
    var text = ""
    for _ in 0..<count {
      let limit: UInt32 = Bool.random(using: &random) ? 0x80 : 0x11_0000
      if let scalar = Unicode.Scalar(UInt32.random(in: 0..<limit, using: &random)) {
        text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}
