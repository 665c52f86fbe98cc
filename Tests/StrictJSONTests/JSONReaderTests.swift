import StrictJSON
import Testing

@Suite struct JSONReaderTests {
  @Test func readsAnObjectMemberByMember() throws {
    var reader = JSONReader(
      Array(" {\"a\" : [1, 2.5 ,\"x\"], \"b\":{\"c\":false}, \"d\":null} ".utf8))
    var names: [String] = []
    try reader.beginObject()
    while let name = try reader.nextName() {
      names.append(name)
      switch name {
      case "a":
        var elements: [JSONValue] = []
        try reader.beginArray()
        while try reader.nextElement() { elements.append(try reader.readValue()) }
        #expect(elements == [1, 2.5, "x"])
      case "b":
        #expect(try reader.nextKind() == .object)
        try reader.beginObject()
        #expect(try reader.nextName() == "c")
        #expect(try reader.readBool() == false)
        #expect(try reader.nextName() == nil)
      default: try reader.readNull()
      }
    }
    try reader.finish()
    #expect(names == ["a", "b", "d"])
  }

  @Test func saysWhereANameStands() throws {
    var reader = JSONReader(Array("{ \"a\":1,  \"b\":2}".utf8))
    try reader.beginObject()
    _ = try reader.nextName()
    #expect(reader.nameOffset == 2)
    try reader.skipValue()
    _ = try reader.nextName()
    #expect(reader.nameOffset == 10)
  }

  @Test func skipsOnlySoundValues() throws {
    for text in ["[1,{\"a\":[\"\\n\"]},true,false,null]", "-1.5e9", "\"x\"", "{}"] {
      var reader = JSONReader(Array(text.utf8))
      try reader.skipValue()
      try reader.finish()
      #expect(reader.offset == text.utf8.count)
    }
    for text in ["[1,", "{\"a\":}", "\"\\q\"", "01", "tru", "[1}"] {
      var reader = JSONReader(Array(text.utf8))
      #expect(throws: JSONError.self) { try reader.skipValue() }
    }
  }

  @Test func refusesAnotherKindThanAskedFor() {
    for text in ["1", "\"a\"", "[", "", "nul"] {
      var reader = JSONReader(Array(text.utf8))
      #expect(throws: JSONError.self) { try reader.beginObject() }
      #expect(throws: JSONError.self) { try reader.readBool() }
      #expect(throws: JSONError.self) { try reader.readNull() }
    }
    var reader = JSONReader(Array("true".utf8))
    #expect(throws: JSONError.self) { try reader.beginArray() }
    #expect(throws: JSONError.self) { try reader.readString() }
    #expect(throws: JSONError.self) { try reader.readNumber() }
  }
}
