import Checkpoints
import TensorCore
import TestSupport
import Testing

/// Sound and broken GGUF files, each named after what is odd about it.
@Suite struct GGUFHeaderTests {
  let place: TemporaryDirectory
  init() throws { place = try TemporaryDirectory() }

  private func open(_ raw: RawGGUF) throws -> GGUFFile {
    let path = place.appending("model.gguf")
    try raw.bytes.write(to: path)
    return try GGUFFile(path: path)
  }

  @Test func readsWhatStandsThere() throws {
    var raw = RawGGUF()
    raw.pairs = [
      RawGGUF.pair("k.u8", 0, [200]), RawGGUF.pair("k.i8", 1, [0xff]),
      RawGGUF.pair("k.u16", 2, [1, 2]), RawGGUF.pair("k.i16", 3, [0xfe, 0xff]),
      RawGGUF.pair("k.u32", 4, RawGGUF.little(UInt32.max)),
      RawGGUF.pair("k.i32", 5, RawGGUF.little(Int32(-5))),
      RawGGUF.pair("k.f32", 6, RawGGUF.little(Float(1.5).bitPattern)),
      RawGGUF.pair("k.bool", 7, [1]), RawGGUF.pair("k.text", 8, RawGGUF.string("a\u{e9}")),
      RawGGUF.array("k.texts", 8, count: 2, RawGGUF.string("x") + RawGGUF.string("")),
      RawGGUF.array("k.numbers", 5, count: 2, RawGGUF.little(Int32(-1)) + RawGGUF.little(Int32(9))),
      RawGGUF.array("k.none", 6, count: 0, []),
      RawGGUF.pair("k.u64", 10, RawGGUF.little(UInt64.max)),
      RawGGUF.pair("k.i64", 11, RawGGUF.little(Int64.min)),
      RawGGUF.pair("k.f64", 12, RawGGUF.little((0.1).bitPattern)),
    ]
    let file = try open(raw)
    #expect(file.header.version == 3)
    #expect(file.header.keys.count == 15)
    #expect(file["k.u8"]?.int == 200)
    #expect(file["k.i8"]?.int == -1)
    #expect(file["k.u16"]?.int == 513)
    #expect(file["k.i16"]?.int == -2)
    #expect(file["k.u32"]?.int == 4_294_967_295)
    #expect(file["k.i32"]?.double == -5)
    #expect(file["k.f32"]?.double == 1.5)
    #expect(file["k.bool"]?.bool == true)
    #expect(file["k.text"]?.string == "a\u{e9}")
    #expect(file["k.texts"]?.strings == ["x", ""])
    #expect(file["k.numbers"]?.numbers?.ints == [-1, 9])
    #expect(file["k.none"]?.numbers?.count == 0)
    #expect(file["k.u64"]?.int == nil)
    #expect(file["k.i64"]?.int == Int.min)
    #expect(file["k.f64"]?.double == 0.1)
    let tensor = try #require(file.tensor("b"))
    #expect(tensor.shape == [2, 64])
    #expect(tensor.type == .q8_0)
    #expect(tensor.byteCount == 136)
    #expect(try file.bytes(of: tensor, 2..<5) == [130, 131, 132])
    #expect(file.tensor("c") == nil)
  }

  @Test(arguments: [
    RawGGUF(),
    .named("version 2") { $0.version = 2 },
    .named("no key") { $0.pairs = [] },
    .named("no tensor") { raw in
      raw.tensors = []
      raw.dataByteCount = 0
    },
    .named("alignment 64") { raw in
      raw.pairs.append(RawGGUF.pair("general.alignment", 4, RawGGUF.little(UInt32(64))))
      raw.alignment = 64
    },
    .named("tensors in another order") { $0.tensors.reverse() },
    .named("padding at the end") { $0.dataByteCount += 24 },
    .named("four dimensions") { $0.tensors[0].dimensions = [4, 2, 2, 2] },
    .with("an empty text", RawGGUF.pair("k", 8, RawGGUF.string(""))),
  ])
  func accepts(raw: RawGGUF) throws {
    #expect(throws: Never.self) { try open(raw) }
  }

  @Test(arguments: rejected)
  func refuses(reason: String, raw: RawGGUF, words: String) throws {
    let fault = try #require(throws: CheckpointFault.self) { try open(raw) }
    #expect(fault.code == "checkpoint.gguf.\(reason)", "\(fault.message)")
    #expect(fault.exitStatus == .badData)
    #expect(fault.message.contains(place.path))
    #expect(fault.message.contains(words), "\(fault.message)")
    #expect(!fault.message.contains("\n") && fault.message.utf8.count < 1000, "\(fault.message)")
  }

  /// A file that ends anywhere is refused with a sentence, never read beyond its end.
  @Test func refusesEveryTruncation() throws {
    let bytes = RawGGUF().bytes
    let path = place.appending("cut.gguf")
    for count in 0..<bytes.count {
      try Array(bytes.prefix(count)).write(to: path)
      let fault = try #require(throws: CheckpointFault.self) { try GGUFFile(path: path) }
      #expect(fault.exitStatus == .badData)
      #expect(fault.code.hasPrefix("checkpoint.gguf."), "\(count): \(fault.message)")
    }
  }

  /// Any byte may be anything: the file is read or refused with a sentence.
  @Test func survivesAnyChangedByte() throws {
    let bytes = RawGGUF().bytes
    let path = place.appending("changed.gguf")
    for index in 0..<RawGGUF().header.count {
      for value in [0, 1, 0x7f, 0x80, 0xff] as [UInt8] {
        var changed = bytes
        changed[index] = value
        try changed.write(to: path)
        do { _ = try GGUFFile(path: path) } catch is CheckpointFault {}
      }
    }
  }

  @Test func whatIsWrittenReadsBack() throws {
    let path = place.appending("written.gguf")
    let writer = try GGUFWriter(
      path: path,
      metadata: [
        ("general.architecture", .string("llama")), ("a", .uint32(7)), ("b", .float32(0.5)),
        ("c", .bool(true)), ("d", .strings(["x", "y"])), ("e", .int32s([1, -2])),
        ("f", .float32s([0.25])),
      ],
      tensors: [("one", .f32, [3]), ("two", .q4_0, [2, 64])])
    #expect(!Directory.isFile(path))
    try writer.write(tensor: 1, [UInt8](repeating: 9, count: 72), at: 0)
    try writer.write(tensor: 0, [UInt8](repeating: 1, count: 12), at: 0)
    try writer.finish()
    let file = try GGUFFile(path: path)
    #expect(file.header.keys == ["general.architecture", "a", "b", "c", "d", "e", "f"])
    #expect(file["a"]?.int == 7 && file["b"]?.double == 0.5 && file["c"]?.bool == true)
    #expect(file["d"]?.strings == ["x", "y"])
    #expect(file["e"]?.numbers?.ints == [1, -2])
    #expect(file["f"]?.numbers?.doubles == [0.25])
    #expect(file.tensors == writer.tensors)
    let two = try #require(file.tensor("two"))
    #expect(try file.bytes(of: two, 0..<72) == [UInt8](repeating: 9, count: 72))
  }
}
