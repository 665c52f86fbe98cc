import StrictJSON
import Testing

@Suite struct JSONObjectTests {
  /// Small objects are searched, large ones have a table: both have to behave alike.
  @Test(arguments: [1, 7, 8, 9, 10, 300])
  func holdsEachNameOnceInOrder(count: Int) {
    var object = JSONObject()
    for index in 0..<count { object["k\(index)"] = JSONValue(index) }
    for index in 0..<count { object["k\(index)"] = JSONValue(2 * index) }
    #expect(object.count == count)
    #expect(object.keys == (0..<count).map { "k\($0)" })
    #expect(object["k\(count - 1)"] == JSONValue(2 * count - 2))
    #expect(object["absent"] == nil)

    object["k0"] = nil
    object["absent"] = nil
    #expect(object.count == count - 1)
    #expect(object["k0"] == nil)
    object["k0"] = true
    #expect(object.keys.last == "k0")
    #expect(object["k0"] == true)
    #expect(count < 2 || object["k1"] == 2)
  }

  @Test func equalityIgnoresTheOrder() {
    let one: JSONObject = ["a": 1, "b": [2]]
    let two: JSONObject = ["b": [2], "a": 1]
    #expect(one == two)
    #expect(one != ["a": 1])
    #expect(one != ["a": 1, "c": [2]])
  }

  @Test func accessorsGiveOnlyTheirOwnKind() {
    let values: [JSONValue] = [nil, true, 3, 2.5, "x", [1], ["a": 1]]
    #expect(values.map(\.isNull) == [true, false, false, false, false, false, false])
    #expect(values.map(\.bool) == [nil, true, nil, nil, nil, nil, nil])
    #expect(values.map(\.int) == [nil, nil, 3, nil, nil, nil, nil])
    #expect(values.map(\.double) == [nil, nil, 3, 2.5, nil, nil, nil])
    #expect(values.map(\.string) == [nil, nil, nil, nil, "x", nil, nil])
    #expect(values.compactMap(\.array) == [[1]])
    #expect(values.compactMap(\.object) == [["a": 1]])
    #expect(values[6]["a"] == 1)
    #expect(values[5]["a"] == nil)
    #expect(
      values.map(\.kindName) == [
        "null", "a boolean", "an integer", "a number with a fraction or exponent", "a string",
        "an array", "an object",
      ])
  }

  @Test func excerptsStayOnOneLineAndShort() {
    #expect(Excerpt.quoted("plain é") == "\"plain é\"")
    #expect(Excerpt.quoted("a\n\u{1B}[2J\u{202E}\"\\") == #""a\u{a}\u{1b}[2J\u{202e}\"\\""#)
    #expect(Excerpt.quoted(String(repeating: "x", count: 1000), limit: 5) == "\"xxxxx…\"")
  }
}
