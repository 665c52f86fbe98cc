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
    .with(
      "six bits, whole", #""f":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[32,35]}"#, data: 3),
    .with("scale bytes", #""f":{"dtype":"F8_E8M0","shape":[4],"data_offsets":[32,36]}"#, data: 4),
    .with(
      "a field the format does not have",
      #""x":{"dtype":"U8","shape":[0],"data_offsets":[32,32],"more":{"a":[1,null]}}"#),
    .named("members in another order") { $0.members.reverse() },
    .named("padded with spaces") { $0.text = $0.header + [UInt8](repeating: 0x20, count: 1000) },
    .named("line feeds around") { $0.text = Array("\n\t ".utf8) + $0.header + Array("\r\n".utf8) },
    .named("escaped name") { $0.members[0] = $0.members[0].replacing("\"a\"", with: #""\u0061""#) },
    .with(
      "name of 512 bytes",
      "\"\(String(repeating: "n", count: 512))\":"
        + #"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#),
  ])
  func accepts(file: RawSafetensors) throws {
    #expect(throws: Never.self) { try file.open() }
  }

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
    #expect(
      file.entries.map(\.byteRange) == [
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
