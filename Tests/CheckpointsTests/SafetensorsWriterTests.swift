import Checkpoints
import Dispatch
import TensorCore
import TestSupport
import Testing

@Suite struct SafetensorsWriterTests {
  let place: TemporaryDirectory
  var path: String { place.appending("out.safetensors") }

  init() throws { place = try TemporaryDirectory() }

  static let tensors: [(name: String, dataType: DataType, shape: [Int])] = [
    ("z", .f16, [3, 5]), ("a \"quoted\" é", .u8, [7]), ("empty", .f32, [0, 3]),
    ("scalar", .f64, []),
    ("four bits", .f4, [4]),
  ]

  @Test func writesWhatTheReaderReads() throws {
    let writer = try SafetensorsWriter(
      path: path, tensors: Self.tensors, metadata: [("format", "pt"), ("b", "2")])
    var expected: [String: [UInt8]] = [:]
    for (number, entry) in writer.entries.enumerated() {
      expected[entry.name] = (0..<entry.byteCount).map { UInt8(16 * number + $0 % 16) }
      // From the end, in pieces of four bytes.
      var end = entry.byteCount
      while end > 0 {
        let begin = max(0, end - 4)
        try writer.write(entry.name, Array(expected[entry.name]?[begin..<end] ?? []), at: begin)
        end = begin
      }
    }
    try writer.finish()
    let file = try SafetensorsFile(path: path)
    #expect(file.entries.map(\.name) == Self.tensors.map(\.name))
    #expect(file.entries.map(\.shape) == Self.tensors.map(\.shape))
    #expect(file.entries == writer.entries)
    #expect(file.metadata.map(\.0) == ["format", "b"])
    #expect(file.metadata.map(\.1) == ["pt", "2"])
    #expect(file.entries[0].byteRange.lowerBound % 8 == 0)
    for entry in file.entries {
      let bytes = try file.file.bytes(at: entry.byteRange.lowerBound, count: entry.byteCount)
      #expect(bytes == expected[entry.name], "\(entry.name)")
    }
  }

  @Test func sameBytesFromOneThreadAndFromEight() throws {
    func write(_ name: String, threads: Int) throws -> [UInt8] {
      let path = place.appending(name)
      let writer = try SafetensorsWriter(path: path, tensors: [("w", .u8, [80_000])])
      DispatchQueue.concurrentPerform(iterations: threads) { part in
        let count = 80_000 / threads
        try? writer.write(
          "w", (0..<count).map { UInt8(truncatingIfNeeded: part * count + $0) }, at: part * count)
      }
      try writer.finish()
      return try InputFile.contents(of: path)
    }
    #expect(try write("one", threads: 1) == write("eight", threads: 8))
  }

  @Test func leavesNothingBehindWithoutFinish() throws {
    do {
      let writer = try SafetensorsWriter(path: path, tensors: Self.tensors)
      try writer.write("z", [1, 2, 3, 4])
      #expect(try Directory.names(in: place.path) == ["out.safetensors.partial"])
      let fault = try #require(throws: CheckpointFault.self) { try writer.finish() }
      #expect(fault.code == "checkpoint.incomplete")
      #expect(fault.context["tensor"] == "z")
    }
    #expect(try Directory.names(in: place.path).isEmpty)
  }

  @Test func replacesAnOlderFileOnlyWhenFinished() throws {
    try [1, 2, 3].write(to: path)
    let writer = try SafetensorsWriter(path: path, tensors: [("w", .u8, [1])])
    try writer.write("w", [9])
    #expect(try InputFile.contents(of: path) == [1, 2, 3])
    try writer.finish()
    #expect(try SafetensorsFile(path: path).entries.map(\.name) == ["w"])
    #expect(try Directory.names(in: place.path) == ["out.safetensors"])
  }

  @Test func headerIsPaddedForEveryNameLength() throws {
    for length in 1...16 {
      let name = String(repeating: "n", count: length)
      let writer = try SafetensorsWriter(path: path, tensors: [(name, .f64, [1])])
      try writer.write(name, [UInt8](repeating: 0, count: 8))
      try writer.finish()
      let file = try SafetensorsFile(path: path)
      #expect(file.entries[0].byteRange.lowerBound % 8 == 0)
      #expect(file.file.byteCount == file.entries[0].byteRange.upperBound)
    }
  }

  @Test func saysWhereItCannotWrite() throws {
    let fault = try #require(throws: FileFault.self) {
      try SafetensorsWriter(path: place.appending("absent/out.safetensors"), tensors: [])
    }
    #expect(fault.exitStatus == .cannotCreate)
  }
}
