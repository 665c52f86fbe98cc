import Checkpoints
import TensorCore
import TestSupport
import Testing

/// Reading weights as floats and as bytes.
@Suite struct WeightReadingTests {
  let place: TemporaryDirectory

  init() throws {
    place = try TemporaryDirectory()
    try "{}".write(to: place.appending("config.json"))
  }

  private func checkpoint(
    _ dataType: DataType, _ shape: [Int], _ bytes: [UInt8]
  ) throws -> Checkpoint {
    let writer = try SafetensorsWriter(
      path: place.appending("model.safetensors"),
      tensors: [("pad", .u8, [3]), ("w", dataType, shape)])
    try writer.write("pad", [1, 2, 3])
    try writer.write("w", bytes)
    try writer.finish()
    return try Checkpoint(directory: place.path)
  }

  private func floats(_ checkpoint: Checkpoint, rows: Range<Int>, count: Int) throws -> [Float] {
    var values = [Float](repeating: -1, count: count)
    var span = values.mutableSpan
    try checkpoint.readFloats("w", rows: rows, into: &span)
    return values
  }

  private func littleEndian(_ words: some Sequence<UInt16>) -> [UInt8] {
    words.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
  }

  /// The value of a half, by the definition of the format.
  private func half(_ bits: UInt16) -> Float {
    let exponent = Int(bits >> 10 & 31)
    let fraction = Float(bits & 1023)
    let magnitude =
      exponent == 0
      ? fraction * Float(sign: .plus, exponent: -24, significand: 1)
      : (1 + fraction / 1024) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
    return bits & 0x8000 == 0 ? magnitude : -magnitude
  }

  @Test func widensEveryFiniteHalfExactly() throws {
    let words = (UInt16.min...UInt16.max).filter { $0 & 0x7C00 != 0x7C00 }
    let checkpoint = try checkpoint(.f16, [words.count / 2, 2], littleEndian(words))
    let values = try floats(checkpoint, rows: 0..<words.count / 2, count: words.count)
    #expect(values.map(\.bitPattern) == words.map { half($0).bitPattern })
  }

  @Test func widensEveryFiniteBrainFloatExactly() throws {
    let words = (UInt16.min...UInt16.max).filter { $0 & 0x7F80 != 0x7F80 }
    let checkpoint = try checkpoint(.bf16, [words.count], littleEndian(words))
    let values = try floats(checkpoint, rows: 0..<1, count: words.count)
    #expect(values.map(\.bitPattern) == words.map { UInt32($0) << 16 })
  }

  @Test func readsSomeRowsOnly() throws {
    let bytes = (0..<24).flatMap { value in
      let bits = Float(value).bitPattern
      return (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
    }
    let checkpoint = try checkpoint(.f32, [4, 3, 2], bytes)
    #expect(try floats(checkpoint, rows: 1..<3, count: 12) == (6..<18).map(Float.init))
    #expect(try floats(checkpoint, rows: 2..<2, count: 0).isEmpty)
    #expect(try checkpoint.weightFiles[0].floats("w") == (0..<24).map(Float.init))

    var raw = [UInt8](repeating: 0, count: 5)
    var span = raw.mutableSpan
    var rawSpan = unsafe span.mutableBytes
    try checkpoint.readBytes("w", bytes: 3..<8, into: &rawSpan)
    #expect(raw == Array(bytes[3..<8]))
  }

  @Test(arguments: [0x7E00, 0xFE01, 0x7C01] as [UInt16])
  func refusesNaN(word: UInt16) throws {
    var words = [UInt16](repeating: 0x3C00, count: 6)
    words[4] = word
    let checkpoint = try checkpoint(.f16, [3, 2], littleEndian(words))
    #expect(try floats(checkpoint, rows: 0..<2, count: 4) == [1, 1, 1, 1])
    let fault = try #require(throws: CheckpointFault.self) {
      try floats(checkpoint, rows: 1..<3, count: 4)
    }
    #expect(fault.code == "checkpoint.notFinite")
    #expect(fault.context["tensor"] == "w")
    #expect(fault.message.contains("NaN at element [2, 0]"), "\(fault.message)")
  }

  @Test func refusesInfinityInALongTensor() throws {
    var words = [UInt16](repeating: 0x3F80, count: 200_001)
    words[150_003] = 0xFF80
    let checkpoint = try checkpoint(.bf16, [200_001], littleEndian(words))
    let fault = try #require(throws: CheckpointFault.self) {
      try floats(checkpoint, rows: 0..<1, count: words.count)
    }
    #expect(fault.message.contains("-infinity at element 150003"), "\(fault.message)")
  }

  @Test(arguments: [DataType.i32, .f64, .u8, .f8e4m3, .bool])
  func refusesWhatIsNoFloat(dataType: DataType) throws {
    let checkpoint = try checkpoint(
      dataType, [2], [UInt8](repeating: 0, count: 2 * dataType.byteCount))
    let fault = try #require(throws: CheckpointFault.self) {
      try floats(checkpoint, rows: 0..<1, count: 2)
    }
    #expect(fault.code == "checkpoint.notFloats")
    #expect(fault.message.contains(dataType.rawValue))
  }

  @Test func refusesAnAbsentTensor() throws {
    let checkpoint = try checkpoint(.u8, [1], [0])
    var values: [Float] = []
    let fault = try #require(throws: CheckpointFault.self) {
      var span = values.mutableSpan
      try checkpoint.readFloats("absent", rows: 0..<1, into: &span)
    }
    #expect(fault.code == "checkpoint.missingTensor")
    #expect(throws: CheckpointFault.self) { try checkpoint.weightFiles[0].entry("absent") }
  }

  @Test func readsScalarsAndEmptyTensors() throws {
    let scalar = try checkpoint(.bf16, [], [0x80, 0x3F])
    #expect(try floats(scalar, rows: 0..<1, count: 1) == [1])
    let empty = try checkpoint(.f16, [0, 4], [])
    #expect(try floats(empty, rows: 0..<0, count: 0).isEmpty)
    let narrow = try checkpoint(.f32, [3, 0], [])
    #expect(try floats(narrow, rows: 1..<3, count: 0).isEmpty)
  }

  @Test func readsTokenIds() throws {
    let checkpoint = try checkpoint(.i32, [3], [1, 0, 0, 0, 255, 255, 255, 255, 0, 1, 0, 0])
    #expect(try checkpoint.weightFiles[0].int32s("w") == [1, -1, 256])
    let fault = try #require(throws: CheckpointFault.self) {
      try checkpoint.weightFiles[0].int32s("pad")
    }
    #expect(fault.code == "checkpoint.notIntegers")
  }

  /// A file that shrinks under the reader ends in an error, not in a crash.
  @Test func noticesAFileThatShrinks() throws {
    let checkpoint = try checkpoint(.f32, [4], [UInt8](repeating: 0, count: 16))
    try [UInt8](repeating: 0, count: 20).write(to: place.appending("model.safetensors"))
    let fault = try #require(throws: FileFault.self) {
      try floats(checkpoint, rows: 0..<1, count: 4)
    }
    #expect(fault.code == "file.truncated")
  }
}
