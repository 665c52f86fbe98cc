import Checkpoints
import StrictJSON
import TensorCore
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Hugging Face directories: which are taken, and why others are not.
@Suite struct CheckpointDirectoryTests {
  let place: TemporaryDirectory
  var directory: String { place.appending("model") }

  init() throws {
    place = try TemporaryDirectory()
    try "{\"model_type\":\"llama\",\"x\":1}".write(to: directory + "/config.json")
  }

  private func path(_ name: String) -> String { "\(directory)/\(name)" }

  /// A file with U8 tensors of one byte each.
  private func writeShard(_ name: String, _ tensors: [String]) throws {
    let writer = try SafetensorsWriter(
      path: path(name), tensors: tensors.map { ($0, .u8, [1]) })
    for tensor in tensors { try writer.write(tensor, [UInt8(tensor.utf8.count)]) }
    try writer.finish()
  }

  private func writeIndex(_ map: [String: String], total: Int = 3) throws {
    let members = map.sorted { $0.key < $1.key }
      .map { "\(Excerpt.quoted($0.key)):\"\($0.value)\"" }.joined(separator: ",")
    try "{\"metadata\":{\"total_size\":\(total)},\"weight_map\":{\(members)}}"
      .write(to: path("model.safetensors.index.json"))
  }

  private func writeTwoShards() throws {
    try writeShard("one.safetensors", ["a", "b"])
    try writeShard("two.safetensors", ["c"])
  }

  private func expectFault(
    _ reason: String, _ status: TensorCore.ExitStatus = .badData, naming words: String...,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let fault = try #require(throws: CheckpointFault.self, sourceLocation: sourceLocation) {
      try Checkpoint(directory: directory)
    }
    #expect(
      fault.code == "checkpoint.\(reason)", "\(fault.message)", sourceLocation: sourceLocation)
    #expect(fault.exitStatus == status, sourceLocation: sourceLocation)
    for word in words {
      #expect(fault.message.contains(word), "\(fault.message)", sourceLocation: sourceLocation)
    }
  }

  @Test func takesOneFile() throws {
    try writeShard("model.safetensors", ["b", "a"])
    try writeShard("golden.safetensors", ["z"])
    try "{}".write(to: path("tokenizer.json"))
    try "".write(to: path("merges.txt"))
    let checkpoint = try Checkpoint(directory: directory)
    #expect(checkpoint.tensorNames == ["a", "b"])
    #expect(checkpoint.entry("a")?.dataType == .u8)
    #expect(checkpoint.entry("z") == nil)
    #expect(checkpoint.configuration["model_type"] == "llama")
    #expect(checkpoint.tokenizerFiles == ["merges.txt", "tokenizer.json"])
    #expect(checkpoint.path(of: "a") == path("model.safetensors"))
    #expect(checkpoint.path(of: "z") == directory)
  }

  @Test func takesTheOnlyFileWhateverItsName() throws {
    try writeShard("pytorch_lora.safetensors", ["a"])
    #expect(try Checkpoint(directory: directory).tensorNames == ["a"])
  }

  @Test func takesShards() throws {
    try writeTwoShards()
    try writeIndex(["a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"])
    let checkpoint = try Checkpoint(directory: directory)
    #expect(checkpoint.tensorNames == ["a", "b", "c"])
    #expect(checkpoint.weightFiles.count == 2)
    #expect(checkpoint.path(of: "c") == path("two.safetensors"))
    #expect(checkpoint.unlistedTensorNames.isEmpty)
  }

  @Test func ignoresAWrongTotalSize() throws {
    try writeTwoShards()
    try writeIndex(
      ["a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"], total: 9_999)
    #expect(throws: Never.self) { try Checkpoint(directory: directory) }
  }

  @Test func countsUnlistedTensorsAsAbsent() throws {
    try writeTwoShards()
    try writeIndex(["a": "one.safetensors", "c": "two.safetensors"])
    let checkpoint = try Checkpoint(directory: directory)
    #expect(checkpoint.tensorNames == ["a", "c"])
    #expect(checkpoint.unlistedTensorNames == ["b"])
    #expect(checkpoint.entry("b") == nil)
  }

  @Test func refusesNoDirectory() throws {
    let fault = try #require(throws: CheckpointFault.self) {
      try Checkpoint(directory: directory + "/absent")
    }
    #expect(fault.code == "checkpoint.noDirectory")
    #expect(fault.exitStatus == .noInput)
    #expect(throws: CheckpointFault.self) { try Checkpoint(directory: path("config.json")) }
  }

  @Test func refusesNoConfiguration() throws {
    try writeShard("model.safetensors", ["a"])
    try Directory.remove(path("config.json"))
    try expectFault("noConfiguration", .noInput, naming: directory, "config.json")
  }

  @Test(arguments: [
    "", "{", "{\"a\":1", "[]", "null", "{\"a\":1,\"a\":2}", "{\"a\":NaN}", "\u{FEFF}{}",
    "{\"a\":" + String(repeating: "[", count: 1000),
  ])
  func refusesAConfigurationThatIsNoObject(text: String) throws {
    try writeShard("model.safetensors", ["a"])
    try text.write(to: path("config.json"))
    try expectFault("notJSON", naming: path("config.json"))
  }

  @Test func refusesAnEnormousConfiguration() throws {
    try writeShard("model.safetensors", ["a"])
    let file = try OutputFile(path: path("config.json"))
    try file.write([0x20], at: 64 << 20)
    let fault = try #require(throws: FileFault.self) { try Checkpoint(directory: directory) }
    #expect(fault.exitStatus == .badData)
  }

  @Test func refusesNoWeights() throws {
    try expectFault("noWeights", .noInput, naming: directory)
    try "pickle".write(to: path("pytorch_model.bin"))
    try expectFault("noWeights", .noInput, naming: "only \"pytorch_model.bin\"")
  }

  @Test func refusesSeveralFilesWithoutIndex() throws {
    try writeTwoShards()
    try expectFault("ambiguousWeights", .noInput, naming: "2 safetensors files")
  }

  @Test func refusesAMissingShard() throws {
    try writeShard("one.safetensors", ["a"])
    try writeIndex(["a": "one.safetensors", "c": "two.safetensors"])
    try expectFault("missingShard", .noInput, naming: "two.safetensors")
  }

  @Test func refusesATensorInTheWrongShard() throws {
    try writeTwoShards()
    try writeIndex(["a": "one.safetensors", "b": "two.safetensors", "c": "two.safetensors"])
    try expectFault("indexMismatch", naming: "\"b\"", "two.safetensors")
  }

  @Test func refusesATensorThatNoShardHolds() throws {
    try writeTwoShards()
    try writeIndex(["a": "one.safetensors", "c": "two.safetensors", "d": "two.safetensors"])
    try expectFault("indexMismatch", naming: "\"d\"")
  }

  @Test func refusesATensorInTwoShards() throws {
    try writeShard("one.safetensors", ["a", "b"])
    try writeShard("two.safetensors", ["b", "c"])
    try writeIndex(["a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"])
    try expectFault("indexMismatch", naming: "\"b\"", "one.safetensors", "two.safetensors")
  }

  @Test func refusesABrokenShard() throws {
    try writeTwoShards()
    try RawSafetensors.named("cut") { $0.data.removeLast() }.bytes
      .write(to: path("two.safetensors"))
    try writeIndex(["a": "one.safetensors", "c": "two.safetensors"])
    try expectFault("truncated", naming: path("two.safetensors"))
  }

  @Test(arguments: [
    "", "{}", "[]", "{\"weight_map\":[]}", "{\"weight_map\":\"one.safetensors\"}",
    "{\"weight_map\":{\"a\":1}}", "{\"weight_map\":{\"a\":\"x\",\"a\":\"y\"}}",
  ])
  func refusesABrokenIndex(text: String) throws {
    try writeTwoShards()
    try text.write(to: path("model.safetensors.index.json"))
    let fault = try #require(throws: CheckpointFault.self) { try Checkpoint(directory: directory) }
    #expect(["checkpoint.notJSON", "checkpoint.badIndex"].contains(fault.code), "\(fault.message)")
    #expect(fault.message.contains(path("model.safetensors.index.json")))
  }

  @Test(arguments: [
    "../other/model.safetensors", "/etc/hostname", "sub/one.safetensors", "..", ".", "",
    "..\\\\one.safetensors", "C:one.safetensors", "https://example.org/one.safetensors",
    "one.safetensors\\u0000", "one\\n.safetensors",
  ])
  func refusesAnIndexThatLeadsElsewhere(name: String) throws {
    try writeTwoShards()
    try writeIndex(["a": "one.safetensors", "c": name])
    try expectFault("pathEscape", naming: "\"c\"")
  }

  @Test func refusesAShardThatIsALinkOutwards() throws {
    try writeTwoShards()
    try writeIndex(["a": "one.safetensors", "c": "two.safetensors"])
    try Directory.rename(path("two.safetensors"), to: place.appending("elsewhere.safetensors"))
    #expect(unsafe symlink("../elsewhere.safetensors", path("two.safetensors")) == 0)
    try expectFault("pathEscape", naming: path("two.safetensors"))
  }

  @Test func takesLinksOfADownloadCache() throws {
    let cache = place.appending("models--x")
    let snapshot = cache + "/snapshots/0123abc"
    try writeTwoShards()
    try writeIndex(["a": "one.safetensors", "c": "two.safetensors"])
    try Directory.create(cache + "/blobs")
    try Directory.create(snapshot)
    for (number, name) in try Directory.names(in: directory).enumerated() {
      try Directory.rename(path(name), to: "\(cache)/blobs/\(number)")
      #expect(unsafe symlink("../../blobs/\(number)", "\(snapshot)/\(name)") == 0)
    }
    #expect(try Checkpoint(directory: snapshot).tensorNames == ["a", "c"])
  }
}
