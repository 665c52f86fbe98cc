import Checkpoints
import TensorCore
import TestSupport
import Testing

/// Models in several GGUF files.
@Suite struct GGUFSplitTests {
  let place: TemporaryDirectory
  init() throws { place = try TemporaryDirectory() }

  /// A part with one tensor.
  private func write(
    _ name: String, _ tensor: String, number: UInt16, count: UInt16, tensors: Int32 = 2
  ) throws {
    var raw = RawGGUF()
    raw.tensors = [RawGGUF.Tensor(name: tensor)]
    raw.dataByteCount = 128
    raw.pairs += [
      RawGGUF.pair("split.no", 2, RawGGUF.little(number)),
      RawGGUF.pair("split.count", 2, RawGGUF.little(count)),
      RawGGUF.pair("split.tensors.count", 5, RawGGUF.little(tensors)),
    ]
    try raw.bytes.write(to: place.appending(name))
  }

  private let first = "m-00001-of-00002.gguf"
  private let second = "m-00002-of-00002.gguf"

  private func refusal(
    _ name: String, _ reason: String, _ words: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let fault = try #require(throws: CheckpointFault.self, sourceLocation: sourceLocation) {
      try GGUFFile(path: place.appending(name))
    }
    #expect(fault.code == "checkpoint.gguf.\(reason)", sourceLocation: sourceLocation)
    #expect(fault.message.contains(words), "\(fault.message)", sourceLocation: sourceLocation)
  }

  @Test func readsAllParts() throws {
    try write(first, "a", number: 0, count: 2)
    try write(second, "b", number: 1, count: 2)
    let file = try GGUFFile(path: place.appending(first))
    #expect(file.parts.count == 2)
    #expect(file.tensors.map(\.name) == ["a", "b"])
    let tensor = try #require(file.tensor("b"))
    #expect(file.path(of: tensor) == place.appending(second))
    #expect(try file.bytes(of: tensor, 3..<5) == [3, 4])
  }

  @Test func takesASinglePart() throws {
    try write("m.gguf", "a", number: 0, count: 1, tensors: 1)
    #expect(try GGUFFile(path: place.appending("m.gguf")).parts.count == 1)
  }

  @Test func refusesPartsThatDoNotBelongTogether() throws {
    try write(first, "a", number: 0, count: 2)
    try refusal(first, "missingPart", second)
    try write(second, "b", number: 0, count: 2)
    try refusal(first, "split", "part 1 of 2; expected 2 of 2")
    try write(second, "b", number: 1, count: 3)
    try refusal(first, "split", "of 3")
    try write(second, "a", number: 1, count: 2)
    try refusal(first, "duplicateTensor", "\"a\"")
    try write(second, "b", number: 1, count: 2)
    try write(first, "a", number: 0, count: 2, tensors: 3)
    try refusal(first, "split", "3 tensors")
    try refusal(second, "split", "give the first part")
    try write("other.gguf", "a", number: 0, count: 2)
    try refusal("other.gguf", "split", "has to end in")
    try write("many.gguf", "a", number: 0, count: 60_000)
    try refusal("many.gguf", "split", "60000")
  }
}
